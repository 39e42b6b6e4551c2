//! Published list prices, in one table by region.

/// From when the prices are: DynamoDB on-demand after it was halved, SQS standard queues. They were written down from
/// memory of the price pages; hold them against those pages before quoting a figure.
pub const AS_OF: &str = "November 2024, not rechecked since";

/// Prices of one region, in USD per million.
#[derive(Clone, Copy, Debug)]
pub struct Prices {
    pub region: &'static str,
    pub read_units: f64,
    pub write_units: f64,
    pub sqs_requests: f64,
}

/// The regions that we know prices of.
pub const TABLE: &[Prices] = &[
    Prices { region: "us-east-1", read_units: 0.125, write_units: 0.625, sqs_requests: 0.40 },
    Prices { region: "eu-central-1", read_units: 0.1525, write_units: 0.7625, sqs_requests: 0.40 },
];

/// What one application used.
#[derive(Clone, Copy, Debug)]
pub struct Usage {
    pub read_units: f64,
    pub write_units: f64,
    pub sqs_requests: f64,
}

/// USD per 1,000 applications; `None` for a region that is not in the table.
pub fn per_thousand(region: &str, usage: Usage) -> Option<f64> {
    let prices = TABLE.iter().find(|p| p.region == region)?;
    let per_million = usage.read_units * prices.read_units
        + usage.write_units * prices.write_units
        + usage.sqs_requests * prices.sqs_requests;
    Some(per_million / 1_000.0)
}

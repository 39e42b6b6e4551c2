//! Published list prices by region, each with where it was read. What was not found has no price, and no sum hides that.

/// When the sources below were read. They are stored copies of pages, of the dates that they name; hold them against the
/// live pages before quoting a figure.
pub const READ_ON: &str = "26 November 2026";

/// One price.
#[derive(Clone, Copy, Debug)]
pub struct Price {
    /// In the region's currency.
    pub amount: f64,
    pub source: &'static str,
}

/// Written from memory; no stored page was found.
const UNCHECKED: &str = "unchecked";

const fn price(amount: f64, source: &'static str) -> Option<Price> {
    Some(Price { amount, source })
}

/// Prices of one region; `None` where none was found.
#[derive(Clone, Copy, Debug)]
pub struct Prices {
    pub region: &'static str,
    pub currency: &'static str,
    /// A million units, on demand.
    pub read_units: Option<Price>,
    pub write_units: Option<Price>,
    /// A million requests of standard queues.
    pub sqs_requests: Option<Price>,
    /// A million requests of an HTTP API.
    pub http_requests: Option<Price>,
    /// A million requests.
    pub lambda_requests: Option<Price>,
    /// A million gigabyte-seconds on arm64.
    pub lambda_gb_seconds: Option<Price>,
    /// A gigabyte taken in by CloudWatch Logs.
    pub log_gb: Option<Price>,
    /// A million requests to KMS.
    pub kms_requests: Option<Price>,
}

const AIRBYTE: &str = "airbyte.com/data-engineering-resources/dynamodb-pricing, July 2025";
const HTTP_APIS: &str =
    "docs.aws.amazon.com/whitepapers/latest/best-practices-api-gateway-private-apis-integration, undated";
const CLOUDCHIPR: &str = "cloudchipr.com/blog/aws-lambda-pricing, 2024";
const AMAZON_CN: &str =
    "amazonaws.cn/en/dynamodb/pricing, undated copy, perhaps of before the halving of 2024";

/// The regions that we know prices of.
pub const TABLE: &[Prices] = &[
    Prices {
        region: "us-east-1",
        currency: "USD",
        read_units: price(0.125, AIRBYTE),
        write_units: price(0.625, AIRBYTE),
        sqs_requests: price(0.40, "cloudburn.io/blog/amazon-sqs-pricing, March 2026"),
        http_requests: price(1.00, HTTP_APIS),
        lambda_requests: price(0.20, CLOUDCHIPR),
        lambda_gb_seconds: price(13.333_4, CLOUDCHIPR),
        log_gb: price(0.50, UNCHECKED),
        kms_requests: price(3.00, UNCHECKED),
    },
    // Where `samconfig.toml` deploys to. Of its own pages only the one on DynamoDB was found, and it breaks off after the
    // price of writes.
    Prices {
        region: "cn-north-1",
        currency: "CNY",
        read_units: None,
        write_units: price(11.153_8, AMAZON_CN),
        sqs_requests: None,
        http_requests: None,
        lambda_requests: None,
        lambda_gb_seconds: None,
        log_gb: None,
        kms_requests: None,
    },
];

/// What was used, for any number of applications.
#[derive(Clone, Copy, Debug, Default)]
pub struct Usage {
    pub read_units: f64,
    pub write_units: f64,
    pub sqs_requests: f64,
    pub http_requests: f64,
    pub lambda_requests: f64,
    pub lambda_gb_seconds: f64,
    pub log_bytes: f64,
    pub kms_requests: f64,
}

/// An amount of money: what is priced, and what has no price.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Money {
    pub amount: f64,
    /// What was used and has no price.
    pub unpriced: Vec<&'static str>,
}

/// One item of a bill: its name, what was used of it, its price.
type Item = (&'static str, f64, Option<Price>);

impl Prices {
    /// The calls of the API itself: tables, queues and the API's front.
    fn calls(&self, usage: &Usage) -> [Item; 5] {
        const MILLION: f64 = 1e6;
        [
            ("reads", usage.read_units / MILLION, self.read_units),
            ("writes", usage.write_units / MILLION, self.write_units),
            ("queues", usage.sqs_requests / MILLION, self.sqs_requests),
            ("API requests", usage.http_requests / MILLION, self.http_requests),
            ("KMS", usage.kms_requests / MILLION, self.kms_requests),
        ]
    }

    fn rest(&self, usage: &Usage) -> [Item; 3] {
        [
            ("Lambda requests", usage.lambda_requests / 1e6, self.lambda_requests),
            ("Lambda time", usage.lambda_gb_seconds / 1e6, self.lambda_gb_seconds),
            ("logs", usage.log_bytes / 1e9, self.log_gb),
        ]
    }

    /// What the calls cost.
    pub fn of_calls(&self, usage: &Usage) -> Money {
        sum(&self.calls(usage))
    }

    /// What everything costs, Lambda and logs included.
    pub fn of_all(&self, usage: &Usage) -> Money {
        let items: Vec<Item> = self.calls(usage).into_iter().chain(self.rest(usage)).collect();
        sum(&items)
    }

    /// Every price with where it was read.
    pub fn sources(&self) -> Vec<(&'static str, Price)> {
        let items = self.calls(&Usage::default()).into_iter().chain(self.rest(&Usage::default()));
        items.filter_map(|(name, _, price)| Some((name, price?))).collect()
    }
}

fn sum(items: &[Item]) -> Money {
    let mut money = Money::default();
    for (name, used, price) in items {
        match price {
            Some(price) => money.amount += used * price.amount,
            None if *used > 0.0 => money.unpriced.push(name),
            None => {}
        }
    }
    money
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_has_no_price_is_named_and_never_free() {
        let usage = Usage { read_units: 1e6, write_units: 2e6, ..Usage::default() };
        let of = |region: &str| TABLE.iter().find(|prices| prices.region == region).unwrap().of_calls(&usage);
        assert_eq!(of("us-east-1"), Money { amount: 0.125 + 1.25, unpriced: Vec::new() });
        assert_eq!(of("cn-north-1").unpriced, ["reads"]);
    }

    #[test]
    fn logs_and_lambda_are_in_the_whole_and_not_in_the_calls() {
        let usage = Usage { log_bytes: 1e9, lambda_gb_seconds: 1e6, ..Usage::default() };
        assert_eq!(TABLE[0].of_calls(&usage).amount, 0.0);
        assert!((TABLE[0].of_all(&usage).amount - 13.833_4).abs() < 1e-9);
    }
}

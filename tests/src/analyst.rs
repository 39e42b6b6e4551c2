//! A risk analyst: requests signed as IAM wants them, right or wrong in one respect.

use crate::TestApp;
use aws_credential_types::Credentials;
use aws_sigv4::{
    http_request::{SignableBody, SignableRequest, SigningParams, SigningSettings, sign},
    sign::v4,
};
use aws_smithy_runtime_api::client::identity::Identity;
use jiff::Timestamp;
use local::{
    engines::REGION,
    gateway::{HttpAnswer, SERVICE},
};
use ports::Clock as _;
use std::time::SystemTime;

/// How a request is signed.
#[derive(Clone, Debug)]
pub struct Signing {
    /// `<access key id>:<secret access key>`.
    pub pair: String,
    pub region: String,
    pub service: String,
    pub at: Timestamp,
    pub host: String,
}

impl Signing {
    /// As the analyst signs.
    pub fn right(app: &TestApp) -> Self {
        Self {
            pair: app.lending.keys.analyst.clone(),
            region: REGION.to_owned(),
            service: SERVICE.to_owned(),
            at: app.clock.now(),
            host: app.lending.url().trim_start_matches("http://").to_owned(),
        }
    }

    /// The headers of a signed `GET`, the host among them.
    pub fn headers(&self, path: &str) -> Vec<(String, String)> {
        let (id, secret) = self.pair.split_once(':').expect("a pair");
        let identity: Identity = Credentials::new(id, secret, None, None, "test").into();
        let params = v4::SigningParams::builder()
            .identity(&identity)
            .region(&self.region)
            .name(&self.service)
            .time(SystemTime::try_from(self.at).expect("a time"))
            .settings(SigningSettings::default());
        let params: SigningParams<'_> = params.build().expect("all is set").into();
        let url = format!("http://{}{path}", self.host);
        let request = SignableRequest::new("GET", url, std::iter::empty(), SignableBody::empty());
        let (instructions, _) = sign(request.expect("a request"), &params).expect("signed").into_parts();
        let signed = instructions.headers().map(|(name, value)| (name.to_owned(), value.to_owned()));
        signed.chain([("host".to_owned(), self.host.clone())]).collect()
    }
}

/// What the API answers to a `GET` with these headers, over HTTP.
pub async fn get(app: &TestApp, path: &str, headers: &[(String, String)]) -> HttpAnswer {
    let request = app.client.get(format!("{}{path}", app.lending.url()));
    let request = headers.iter().fold(request, |request, (name, value)| request.header(name, value));
    let answer = request.send().await.expect("an answer");
    let status = answer.status().as_u16();
    let text = |value: &reqwest::header::HeaderValue| String::from_utf8_lossy(value.as_bytes()).into_owned();
    let headers = answer.headers().iter().map(|(name, value)| (name.as_str().to_owned(), text(value)));
    let headers = headers.collect();
    HttpAnswer { status, headers, body: answer.bytes().await.expect("a body").to_vec() }
}

/// The same, signed by the analyst.
pub async fn signed(app: &TestApp, path: &str) -> HttpAnswer {
    get(app, path, &Signing::right(app).headers(path)).await
}

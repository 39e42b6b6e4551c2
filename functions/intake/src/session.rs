//! `POST /v1/sessions`: a channel's one-time code becomes a token of 15 minutes.

use crate::{Intake, Refusal};
use contract::http::{FieldError, SessionAnswer, SessionRequest};
use domain::Channel;
use futures::{StreamExt as _, TryStreamExt as _, stream};
use jiff::{SignedDuration, Timestamp};
use lambda_kit::{
    http::{Request, Response, internal, invalid, problem},
    json,
};
use ports::{
    PortError,
    counterparty::ExchangeError,
    relation::{Act, ActKind, Node, NodeKind},
    sign_ins::{Recorded, SignIn},
};
use signing::{Session, token::LIFETIME_SECONDS};

/// So long after it was opened an account that signs in has just signed up.
const JUST_OPENED: SignedDuration = SignedDuration::from_hours(24);
/// Traces of sign-ins forgotten at the same time.
const AT_ONCE: usize = 16;

impl Intake {
    pub(crate) async fn open_session(&self, request: &Request) -> Result<Response, Refusal> {
        let body: SessionRequest = json::parse(&request.body)?;
        let channel = Channel::named(&body.channel).ok_or_else(|| {
            field("/channel", &format!("must be one of {}", Channel::ALL.map(Channel::as_str).join(", ")))
        })?;
        if !(1..=256).contains(&body.code.len()) || !body.code.bytes().all(|b| b.is_ascii_graphic()) {
            return Err(field("/code", "must be 1 to 256 printable ASCII characters").into());
        }
        let refused = || problem(401, "code-refused", "The one-time code is not valid, or was used before");
        let signed_in = match self.channels.exchange(channel, &body.code).await {
            Ok(answer) => answer,
            Err(ExchangeError::CodeRefused) => return Err(refused().into()),
            Err(ExchangeError::Port(error)) => return Err(error.into()),
        };
        let session = Session {
            sub: signed_in.subject.as_str().to_owned(),
            channel: channel.as_str().to_owned(),
            device: self.hasher.device(signed_in.device.as_str()),
            network: self.hasher.network(signed_in.network.as_str()),
            place: signed_in.place.map(|place| place.chars().take(40).collect()),
            account_opened_at: signed_in.account_opened_at.map(|at| at.as_second()),
            verified_person: signed_in
                .verified_person
                .map(|person| self.hasher.identity(&person.name, &person.resident_id)),
        };
        let now = self.clock.now();
        let account = self.account_hash(channel, signed_in.subject.as_str());
        let sign_in = SignIn {
            borrower: account.clone(),
            code: self.hasher.hash("code", &format!("{}\n{}", channel.as_str(), body.code)).to_string(),
            channel,
            device: session.device.to_string(),
            network: session.network.to_string(),
            place: session.place.clone(),
            at: now,
        };
        let is_new = |opened: Timestamp| now.duration_since(opened) < JUST_OPENED;
        let kind =
            if signed_in.account_opened_at.is_some_and(is_new) { ActKind::SignUp } else { ActKind::SignIn };
        let act = Act { kind, who: account, at: now };
        let device = device(sign_in.device.clone());
        // A code that is used again is an act on that device all the same.
        let (recorded, _) =
            futures::try_join!(self.sign_ins.record(&sign_in), self.acts.record(&device, &act))?;
        if recorded == Recorded::CodeUsed {
            return Err(refused().into());
        }
        let (token, _) = self.issuer.issue(&session, now).map_err(|_| internal())?;
        Ok(Response::json(201, &SessionAnswer { token, expires_in_seconds: LIFETIME_SECONDS as u32 }))
    }
}

impl Intake {
    /// The keyed hash of a borrower's account at a channel, under which sign-ins are kept.
    pub(crate) fn account_hash(&self, channel: Channel, subject: &str) -> String {
        self.hasher.hash("account", &format!("{}\n{subject}", channel.as_str())).to_string()
    }

    /// Erases the sign-ins of an account: first the traces that they left in the relation graph, which nothing else leads
    /// to, then what they say themselves. Whoever dies in between begins again.
    pub(crate) async fn erase_sign_ins(&self, account: &str) -> Result<(), PortError> {
        let visits = self.sign_ins.visits(account).await?;
        let forgotten = visits.into_iter().map(|visit| async move {
            let device = device(visit.device);
            let forget = |kind| {
                let act = Act { kind, who: account.to_owned(), at: visit.at };
                let device = &device;
                async move { self.acts.forget(device, &act).await }
            };
            // The visit does not tell whether the account was new.
            futures::try_join!(forget(ActKind::SignIn), forget(ActKind::SignUp))
        });
        stream::iter(forgotten.collect::<Vec<_>>()).buffer_unordered(AT_ONCE).try_collect::<Vec<_>>().await?;
        self.sign_ins.erase(account).await?;
        Ok(())
    }
}

/// The node under which a sign-in is an act.
fn device(hash: String) -> Node {
    Node { kind: NodeKind::Device, hash }
}

fn field(pointer: &str, detail: &str) -> contract::http::Problem {
    invalid(vec![FieldError { pointer: pointer.to_owned(), detail: detail.to_owned() }])
}

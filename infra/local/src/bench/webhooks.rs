//! How many webhooks are signed and sent in a second, to an endpoint of this process that answers 202 at once.

use super::AnyError;
use axum::{Router, http::StatusCode, routing::post};
use comfy_table::{Table, presets::UTF8_HORIZONTAL_ONLY};
use delivery::{Delivery, Sender, SenderConfig, Target};
use futures::{StreamExt as _, stream};
use ports::Clock as _;
use signing::{KeyError, Sealer, Signer, keys};
use std::{io::Write, time::Instant};
use tokio::net::TcpListener;

/// Messages of each kind.
const MESSAGES: u32 = 10_000;
/// On their way at the same time.
const AT_ONCE: usize = 32;
/// As long as a payout instruction.
const BODY_BYTES: usize = 700;

/// One way to sign and seal.
struct Scheme {
    name: &'static str,
    signer: Signer,
    sealer: Option<Sealer>,
}

fn schemes() -> Result<Vec<Scheme>, KeyError> {
    let shared = keys::webhook_secret()?;
    let (ed25519, _) = keys::webhook_key_pair()?;
    let (sm2, _) = keys::sm2_key_pair()?;
    let scheme = |name, key: &str, sealed: Option<&str>| -> Result<Scheme, KeyError> {
        let sealer = sealed.map(|key| Sealer::parse([key])).transpose()?;
        Ok(Scheme { name, signer: Signer::parse([key])?, sealer })
    };
    Ok(vec![
        scheme("HMAC-SHA256", &shared, None)?,
        scheme("Ed25519", &ed25519, None)?,
        scheme("SM2 with SM3", &sm2, None)?,
        scheme("HMAC-SHA256, sealed with AES-256-GCM", &shared, Some(&keys::a256gcm_key()?))?,
        scheme("SM2 with SM3, sealed with SM4-GCM", &sm2, Some(&keys::sm4gcm_key()?))?,
    ])
}

/// Measures every scheme, and prints a table.
#[expect(clippy::disallowed_methods, reason = "a benchmark measures the machine's own time")]
pub(super) async fn measure(out: &mut impl Write) -> Result<(), AnyError> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let url = format!("http://{}/webhooks", listener.local_addr()?);
    let router = Router::new().route("/webhooks", post(|| async { StatusCode::ACCEPTED }));
    let server = tokio::spawn(async move { axum::serve(listener, router).await });
    let sender = Sender::new(SenderConfig { allow_private_addresses: true, ..SenderConfig::default() })?;
    let body = vec![b'x'; BODY_BYTES];
    let mut table = Table::new();
    table.load_preset(UTF8_HORIZONTAL_ONLY).set_header(["scheme", "signed/s", "signed and sent/s"]);
    for Scheme { name, signer, sealer } in schemes()? {
        let target = Target::new(&url, signer.clone())?;
        let sealed = |id: &signing::MessageId| match &sealer {
            Some(sealer) => sealer.seal(id, &body).map(String::into_bytes),
            None => Ok(body.clone()),
        };
        let begun = Instant::now();
        for number in 0..MESSAGES {
            let id = format!("msg_{number}").parse()?;
            std::hint::black_box(signer.try_sign(&id, ports::SystemClock.now(), &sealed(&id)?)?);
        }
        let signed = f64::from(MESSAGES) / begun.elapsed().as_secs_f64();
        let begun = Instant::now();
        let accepted = stream::iter(0..MESSAGES)
            .map(|number| {
                let (sender, target, sealed) = (&sender, &target, &sealed);
                async move {
                    let id = format!("msg_{number}").parse().ok()?;
                    let body = sealed(&id).ok()?;
                    let delivery = sender.send(target, &id, body, ports::SystemClock.now()).await;
                    matches!(delivery, Delivery::Accepted { .. }).then_some(())
                }
            })
            .buffer_unordered(AT_ONCE)
            .filter_map(std::future::ready)
            .count()
            .await;
        if accepted != MESSAGES as usize {
            return Err(format!("{accepted} of {MESSAGES} webhooks were accepted").into());
        }
        let sent = f64::from(MESSAGES) / begun.elapsed().as_secs_f64();
        table.add_row([name.to_owned(), format!("{signed:.0}"), format!("{sent:.0}")]);
    }
    server.abort();
    writeln!(
        out,
        "{MESSAGES} webhooks of {BODY_BYTES} bytes, {AT_ONCE} at once; sender and receiver share this machine:\n{table}\n"
    )?;
    Ok(())
}

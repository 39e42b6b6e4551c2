//! `cargo run --release` starts the whole product on this machine; `-- demo` plays a mix of applications through it.

use clap::{Args, Parser, Subcommand};
use local::{
    borrower::Wish,
    counterparties::{BankUrls, CounterpartyOptions},
    demo,
    lending::{self, Lending, LendingOptions},
    load::{self, Loaded},
    people,
};
use ports::{Clock as _, SystemClock};
use std::{collections::BTreeMap, io::Write as _, path::PathBuf, process::ExitCode};
use tracing_subscriber::{EnvFilter, Layer as _, layer::SubscriberExt as _, util::SubscriberInitExt as _};

/// A fifth of a simulated run is allocation.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

type AnyError = Box<dyn std::error::Error + Send + Sync>;

/// 3 minutes to apply, 0 people in the loop, 1 second to pay out: the lending system on one machine.
///
/// Without a command it starts and serves until it is stopped.
#[derive(Parser)]
#[command(version, args_conflicts_with_subcommands = true)]
struct Cli {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    serve: ServeArgs,
    #[command(flatten)]
    place: PlaceArgs,
}

/// The state folder where none is named.
const STATE: &str = ".local";

/// Where state and keys are.
#[derive(Args)]
struct PlaceArgs {
    /// Folder for state and keys.
    #[arg(long, global = true, default_value = STATE)]
    state: PathBuf,
    /// Key file that holds the secrets shared with real counterparties; see README.
    #[arg(long, global = true, value_name = "FILE")]
    keys: Option<PathBuf>,
}

/// How the product is started.
#[derive(Args)]
struct ServeArgs {
    /// Forget the state of earlier runs first, but not the keys.
    #[arg(long)]
    fresh: bool,
    /// Port of the API on 127.0.0.1.
    #[arg(long, default_value_t = 8301)]
    port: u16,
    /// Where real counterparties reach the API, for example through a tunnel to its port.
    #[arg(long, value_name = "URL")]
    public_url: Option<String>,
    #[command(flatten)]
    banks: BankUrls,
    /// Real providers of the face and phone checks in place of the simulated ones.
    #[arg(long, value_name = "URL")]
    provider_url: Option<String>,
}

#[derive(Subcommand)]
enum Command {
    /// Play a mix of applications through the HTTP API, and fail unless each becomes what it should.
    Demo(ServeArgs),
    /// Start with a user's own firms: a folder of CSV files, one per source.
    Load {
        folder: PathBuf,
        #[command(flatten)]
        serve: ServeArgs,
    },
    /// Measure the way from the last callback to the bank, applications per second, calls and cost.
    Bench {
        /// Applications per number of borrowers.
        #[arg(long, default_value_t = 400)]
        applications: u32,
        #[command(subcommand)]
        part: Option<BenchPart>,
    },
    /// Play our side against a bank's endpoint, and print which rules of BANKS.md it meets.
    BankCheck(Box<local::bank_check::command::BankCheckArgs>),
    /// Run the whole product under seeded faults, and check that no money is lost or paid twice.
    Simulate(local::simulation::command::SimulateArgs),
    /// Compare a bank's daily file with the ledger, and fail unless everything agrees.
    Reconcile(local::reconcile::ReconcileArgs),
    /// Look after the bucket of models: put one into it, and say which of them scores a product.
    Models(local::models::ModelsArgs),
    /// Compare what the models saw and said with their training, and print what is to be told.
    Drift(local::drift::DriftArgs),
    /// Send real loans with known outcomes through the API, and print what the decisions were worth.
    Replay(local::replay::ReplayArgs),
    /// Work on a deployment: load firms into its archive, or play the demo against it.
    Deployed(local::deployed::DeployedArgs),
    /// List the rings that the checks have found, or draw one of them.
    Rings(local::rings::RingsArgs),
    /// Tell the way of one application as a waterfall: who recorded what, when, and what waited for what.
    Trace(local::trace::TraceArgs),
    /// Count what an application costs, in calls and in money, by function and by case of the demo.
    Cost(local::cost::CostArgs),
    /// Print what belongs into the secret of a function, or the template's parameter HashKeyId.
    Secrets {
        #[arg(value_parser = clap::builder::PossibleValuesParser::new(local::secrets::choices()))]
        what: String,
    },
    /// Print the OpenAPI document.
    Openapi,
}

#[derive(Subcommand)]
enum BenchPart {
    /// Time the ensemble against other runtimes, single rows, batches and explanations.
    Models(local::bench::models::ModelsArgs),
    /// Time the start of every Lambda binary beside a hello-world.
    ColdStart(local::bench::cold_start::ColdStartArgs),
    /// Measure the processor's time of every function's invocations, each function in its Lambda binary.
    Memory(local::bench::memory::MemoryArgs),
    /// Time checks on a large relation graph, our algorithms beside networkx and igraph, and the whole graph at once.
    Rings(local::bench::rings::RingsArgs),
}

#[tokio::main]
async fn main() -> ExitCode {
    match run(Cli::parse()).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {}", lambda_kit::chain(error.as_ref()));
            ExitCode::FAILURE
        }
    }
}

async fn run(cli: Cli) -> Result<(), AnyError> {
    // A simulation injects every fault that there is, and what functions say of them is no news.
    let quiet = matches!(&cli.command, Some(Command::Simulate(args)) if args.seed.is_none());
    init_logs(matches!(cli.command, Some(Command::Cost(_))), if quiet { "off" } else { "warn" });
    let mut out = std::io::stdout();
    let place @ PlaceArgs { state, keys } = &cli.place;
    match cli.command {
        Some(Command::Openapi) => Ok(out.write_all(contract::openapi::document().as_bytes())?),
        Some(Command::Demo(serve)) => run_demo(&serve, place, &mut out).await,
        Some(Command::Bench { part: Some(BenchPart::Models(args)), .. }) => {
            Ok(local::bench::models::run(&args, &mut out)?)
        }
        Some(Command::Bench { part: Some(BenchPart::ColdStart(args)), .. }) => {
            local::bench::cold_start::run(&args, &mut out).await
        }
        Some(Command::Bench { part: Some(BenchPart::Memory(args)), .. }) => {
            local::bench::memory::run(&args, &mut out).await
        }
        Some(Command::Bench { part: Some(BenchPart::Rings(args)), .. }) => {
            Ok(local::bench::rings::run(&args, &mut out).await?)
        }
        Some(Command::Bench { applications, part: None }) => {
            Ok(local::bench::run(applications, &mut out).await?)
        }
        Some(Command::BankCheck(args)) => Ok(local::bank_check::command::run(&args, &mut out).await?),
        Some(Command::Simulate(args)) => {
            let simulated = move || {
                let mut out = std::io::stdout();
                local::simulation::command::run(&args, &city(), &mut out)
            };
            Ok(tokio::task::spawn_blocking(simulated).await??)
        }
        Some(Command::Reconcile(args)) => {
            match local::reconcile::run(&args, state, keys.as_deref(), &mut out).await? {
                true => Ok(()),
                false => Err("the bank's file and the ledger differ".into()),
            }
        }
        Some(Command::Models(args)) => Ok(local::models::run(&args, state, keys.as_deref(), &mut out).await?),
        Some(Command::Drift(args)) => Ok(local::drift::run(&args, state, keys.as_deref(), &mut out).await?),
        Some(Command::Replay(args)) => Ok(local::replay::run(&args, &mut out).await?),
        Some(Command::Trace(args)) => local::trace::run(&args, state, keys.as_deref(), &mut out).await,
        Some(Command::Cost(args)) => local::cost::run(&args, &mut out).await,
        Some(Command::Deployed(args)) => {
            match local::deployed::run(&args, keys.as_deref(), &city(), &mut out).await? {
                true => Ok(()),
                false => Err("the demo did not end as it should".into()),
            }
        }
        Some(Command::Rings(args)) => local::rings::run(&args, state, keys.as_deref(), &mut out).await,
        Some(Command::Secrets { what }) => local::secrets::run(&what, state, keys.as_deref(), &mut out),
        Some(Command::Load { folder, serve }) => run_until_stopped(&serve, place, folder, &mut out).await,
        None => run_until_stopped(&cli.serve, place, city(), &mut out).await,
    }
}

/// What is at least of this level goes to standard error; `RUST_LOG` tells more. `counted`: the functions' own logs are
/// counted as well.
fn init_logs(counted: bool, level: &str) {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new(level));
    let shown = tracing_subscriber::fmt::layer().with_writer(std::io::stderr).with_filter(filter);
    let counted = counted.then(local::log_bytes::layer);
    tracing_subscriber::registry().with(counted).with(shown).init();
}

/// The first city, which comes with the source.
fn city() -> PathBuf {
    PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/city"))
}

async fn start(
    args: &ServeArgs,
    place: &PlaceArgs,
    folder: &std::path::Path,
) -> Result<(Lending, Loaded), AnyError> {
    if args.fresh {
        lending::forget(&place.state, place.keys.as_deref())?;
    }
    let counterparties = CounterpartyOptions {
        banks: args.banks.bank_url.iter().cloned().collect::<BTreeMap<_, _>>(),
        provider: args.provider_url.as_ref().map(|url| url.trim_end_matches('/').to_owned()),
        ..CounterpartyOptions::default()
    };
    let mut options = LendingOptions {
        state: Some(place.state.clone()),
        keys: place.keys.clone(),
        port: args.port,
        public_url: args.public_url.as_ref().map(|url| url.trim_end_matches('/').to_owned()),
        counterparties,
        ..LendingOptions::default()
    };
    if !args.banks.bank_url.is_empty() {
        // Simulated ones that hang are given up sooner than real ones may take.
        options.bank_timeout = None;
    }
    let lending = Lending::start(options).await?;
    let key = signing::keys::decode_base64(&lending.keys.hash_key)?;
    let today = domain::calendar::day_in_china(SystemClock.now());
    let loaded = load::load(folder, &signing::KeyedHasher::new(&key)?, today)?;
    lending.store(&loaded).await?;
    Ok((lending, loaded))
}

async fn run_until_stopped(
    args: &ServeArgs,
    place: &PlaceArgs,
    folder: PathBuf,
    out: &mut impl std::io::Write,
) -> Result<(), AnyError> {
    let (lending, loaded) = start(args, place, &folder).await?;
    report(&loaded, out)?;
    let (url, state) = (lending.url(), place.state.display());
    writeln!(out, "\nListening on {url}, state in {state}. Try:\n")?;
    let channel = &lending.counterparties.channel_url;
    let key_file = place.keys.clone().unwrap_or_else(|| place.state.join("keys.json"));
    for line in
        lines_to_try(&url, channel, &folder, &loaded).into_iter().chain([analysts_line(&url, &key_file)])
    {
        writeln!(out, "  {line}\n")?;
    }
    writeln!(out, "Ctrl-C stops.")?;
    tokio::signal::ctrl_c().await?;
    writeln!(out, "\nStopping.")?;
    lending.stop().await;
    Ok(())
}

/// A code from the simulated channel, a session, an application of one of the loaded firms (at each start another one: a firm
/// has one loan at a time), and what can be asked of it.
fn lines_to_try(url: &str, channel: &str, folder: &std::path::Path, loaded: &Loaded) -> Vec<String> {
    let json = "-H 'content-type: application/json'";
    let pick = |field: &str| format!(r#"sed 's/.*"{field}":"\([^"]*\)".*/\1/'"#);
    let now = SystemClock.now();
    let owners = people::owners(folder, loaded, domain::calendar::day_in_china(now)).unwrap_or_default();
    let sound = owners.iter().filter(|o| !o.firm.is_banned() && o.supported_fen >= 30_000_000);
    let sound: Vec<_> = sound.take(400).collect();
    let place = usize::try_from(now.as_second()).unwrap_or_default().checked_rem(sound.len()).unwrap_or(0);
    let bearer = r#"-H "authorization: Bearer $TOKEN""#;
    let of_application = format!("{url}/v1/applications/$ID");
    let rest = match sound.get(place) {
        Some(owner) => {
            let body = owner.applicant(1, 1000).application(&Wish {
                product: "river-quick",
                amount_fen: 10_000_000,
                term_months: 12,
                face_recognition: true,
                accept_up_to_bp: Some(1_500),
            });
            vec![
                format!(
                    r#"ID=$(curl -s {url}/v1/applications {bearer} -H "idempotency-key: $CODE" {json} -d '{body}' | tee /dev/stderr | {})"#,
                    pick("application_id")
                ),
                format!("curl -s {of_application} {bearer}; curl -s {of_application}/explanation {bearer}"),
                format!("curl -s -X DELETE {of_application}/personal-data {bearer}"),
            ]
        }
        None => vec![format!("curl -s {url}/v1/products {bearer}")],
    };
    let sign_in = [
        format!(
            r#"CODE=$(curl -s {channel}/codes {json} -d '{{"channel":"mini_program","subject":"me","device":"my-phone","network":"home"}}' | {})"#,
            pick("code")
        ),
        format!(
            r#"TOKEN=$(curl -s {url}/v1/sessions {json} -d "{{\"channel\":\"mini_program\",\"code\":\"$CODE\"}}" | {})"#,
            pick("token")
        ),
    ];
    sign_in.into_iter().chain(rest).collect()
}

/// The rings, as an analyst reads them. The pair of keys stays in its file.
fn analysts_line(url: &str, key_file: &std::path::Path) -> String {
    let (region, service, file) = (local::engines::REGION, local::gateway::SERVICE, key_file.display());
    let pair = format!(r#"$(sed -n 's/.*"analyst": "\(.*\)".*/\1/p' {file})"#);
    format!(r#"curl -s {url}/v1/rings --aws-sigv4 aws:amz:{region}:{service} --user "{pair}""#)
}

fn report(loaded: &Loaded, out: &mut impl std::io::Write) -> std::io::Result<()> {
    writeln!(
        out,
        "{} firms from {} rows, {} rows refused.",
        loaded.firms.len(),
        loaded.rows,
        loaded.refused.len()
    )?;
    for refused in &loaded.refused {
        writeln!(out, "  {refused}")?;
    }
    for missing in &loaded.missing {
        writeln!(out, "  {missing}.csv is not there: scored as missing")?;
    }
    Ok(())
}

async fn run_demo(
    args: &ServeArgs,
    place: &PlaceArgs,
    out: &mut impl std::io::Write,
) -> Result<(), AnyError> {
    let folder = city();
    let (lending, loaded) = start(args, place, &folder).await?;
    report(&loaded, out)?;
    let now = SystemClock.now();
    let today = domain::calendar::day_in_china(now);
    let owners = people::owners(&folder, &loaded, today)?;
    let run = (now.as_second() % 90_000) as u32;
    let url = lending.url();
    let simulated = &lending.counterparties.banks;
    let banks = lending
        .products
        .iter()
        .filter_map(|p| Some((p.id.clone(), simulated.get(&p.bank)?.url().to_owned())));
    let banks = banks.collect();
    let right =
        demo::run(&url, &lending.counterparties.channel_url, &banks, &owners, &loaded.ties, run, out).await;
    lending.stop().await;
    let state = match place.state.as_path() {
        state if state == std::path::Path::new(STATE) => String::new(),
        state => format!(" --state {}", state.display()),
    };
    writeln!(
        out,
        "Look at one: cargo run --release -- trace <application>{state}; at the rings: cargo run --release -- rings{state}"
    )?;
    if right? { Ok(()) } else { Err("the demo did not end as it should".into()) }
}

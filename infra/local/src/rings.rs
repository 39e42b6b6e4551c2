//! `-- rings`: the rings that the checks have found, and one of them as a picture.

mod label;

use crate::lending::Lending;
use crate::template::local_name;
use analyst::ToldRing;
use aws::DynamoRings;
use clap::{Args, Subcommand};
use comfy_table::{Table, presets::UTF8_HORIZONTAL_ONLY};
use domain::{RingId, ring::RingLabel};
use ports::rings::{ListedRing, RingBook};
use std::{
    io::Write,
    path::{Path, PathBuf},
};

type AnyError = Box<dyn std::error::Error + Send + Sync>;

/// Which ring, and where its picture goes.
#[derive(Args)]
#[command(args_conflicts_with_subcommands = true)]
pub struct RingsArgs {
    #[command(subcommand)]
    step: Option<Step>,
    /// A ring, by any of its names; the list of all without one.
    ring: Option<RingId>,
    /// Draw it into this file.
    #[arg(long, value_name = "FILE", requires = "ring")]
    svg: Option<PathBuf>,
}

/// What is done to all of them.
#[derive(Subcommand)]
enum Step {
    /// Export the relation graph, label every ring of it as a whole, and write what the checks did not know.
    Label,
}

/// Lists the rings in the state folder, or tells one of them.
pub async fn run(
    args: &RingsArgs,
    state: &Path,
    keys: Option<&Path>,
    out: &mut impl Write,
) -> Result<(), AnyError> {
    let lending = Lending::at_rest(state, keys).await?;
    if let Some(Step::Label) = &args.step {
        let labelled = label::run(&lending, out).await;
        lending.stop().await;
        return labelled;
    }
    let book = DynamoRings::new(lending.aws.dynamodb.clone(), local_name("Relations"));
    let told = tell(&book, args, out).await;
    lending.stop().await;
    told
}

async fn tell(book: &dyn RingBook, args: &RingsArgs, out: &mut impl Write) -> Result<(), AnyError> {
    let Some(asked) = args.ring else { return Ok(list(&analyst::newest_first(book).await?, out)?) };
    let told = analyst::told(book, asked).await?.ok_or_else(|| format!("there is no ring {asked}"))?;
    describe(&told, out)?;
    if let Some(file) = &args.svg {
        std::fs::write(file, analyst::svg(&told))?;
        writeln!(out, "\nDrawn into {}.", file.display())?;
    }
    Ok(())
}

fn list(listed: &[ListedRing], out: &mut impl Write) -> std::io::Result<()> {
    let mut table = Table::new();
    table.load_preset(UTF8_HORIZONTAL_ONLY).set_header([
        "ring",
        "label",
        "applications",
        "firms",
        "seen last",
    ]);
    for ring in listed {
        let seen = &ring.latest;
        table.add_row([
            ring.ring.to_string(),
            seen.label.map_or_else(String::new, label),
            seen.applications.to_string(),
            seen.firms.to_string(),
            format!("{:.0}", seen.at),
        ]);
    }
    writeln!(out, "{table}\n{} rings. `-- rings <ring> --svg out.svg` draws one.", listed.len())
}

fn label(label: RingLabel) -> String {
    format!("{} {}", label.zh(), label.as_str())
}

fn describe(told: &ToldRing, out: &mut impl Write) -> std::io::Result<()> {
    writeln!(out, "Ring {}", told.ring.ring)?;
    for merged in &told.ring.merged {
        writeln!(out, "  also known as {merged}")?;
    }
    if let Some(verdict) = &told.latest.features.verdict {
        writeln!(out, "{} · {}, by {}", verdict.label.zh(), verdict.label.en(), verdict.labels)?;
        for finding in &verdict.findings {
            writeln!(
                out,
                "  {:16} +{:<3} {} · {}",
                finding.label.as_str(),
                finding.points,
                finding.zh,
                finding.en
            )?;
        }
    }
    let mut table = Table::new();
    table.load_preset(UTF8_HORIZONTAL_ONLY).set_header([
        "seen at",
        "by application",
        "applications",
        "firms",
        "label",
    ]);
    for seen in &told.history {
        let verdict = seen.features.verdict.as_ref();
        table.add_row([
            format!("{:.0}", seen.at),
            seen.finder.to_string(),
            seen.features.ring_size.to_string(),
            seen.features.ring_firms.to_string(),
            verdict.map_or_else(String::new, |verdict| label(verdict.label)),
        ]);
    }
    writeln!(out, "\n{table}")?;
    if told.cut_off {
        writeln!(out, "Earlier sightings are not shown.")?;
    }
    Ok(())
}

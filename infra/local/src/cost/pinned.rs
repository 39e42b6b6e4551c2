//! The counts of every case as a text that reads well in a diff.

use super::{
    measure::{CaseUsage, Measured},
    usage::{self, Usage},
};
use std::{
    fmt::Write as _,
    path::{Path, PathBuf},
};

const HEAD: &str = "\
# What an application costs in calls, by case of the demo and by function: requests at the HTTP API, DynamoDB units read
# and written, SQS requests that send, receive and delete, and calls of other services. A test holds the code to this;
# a change that costs more, or less, writes it anew: cargo run -- cost --write
#
# From the sign-in until two minutes after the end, with one look at the status, and one more where the borrower answers.
# One message in a receive, as when there is little to do. A run of the sweeper that finds nothing is not in it.
";

/// Where the text lies.
pub fn path() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../cost.txt")
}

/// The text.
pub fn text(measured: &Measured) -> String {
    let mut text = HEAD.to_owned();
    for case in &measured.cases {
        write_case(&mut text, case);
    }
    let _ = writeln!(text, "\nevery minute, whatever happens");
    row(&mut text, "sweeper", &measured.idle_sweep);
    text
}

fn write_case(text: &mut String, case: &CaseUsage) {
    let many = match case.applications {
        1 => String::new(),
        many => format!(" ({many} applications)"),
    };
    let _ = writeln!(
        text,
        "\n{:<32}{:>6}{:>8}{:>8}{:>6}{:>9}{:>8}",
        format!("{}{many}", case.name),
        "http",
        "read",
        "write",
        "send",
        "receive",
        "delete"
    );
    for (function, usage) in &case.functions {
        row(text, function, usage);
    }
    row(text, "together", &usage::sum(case.functions.values()));
}

fn row(text: &mut String, name: &str, usage: &Usage) {
    let Usage { requests, read_units, write_units, sends, receives, deletes, .. } = usage;
    let _ = write!(
        text,
        "  {name:<30}{requests:>6}{read_units:>8.1}{write_units:>8.1}{sends:>6}{receives:>9}{deletes:>8}"
    );
    for (service, calls) in &usage.others {
        let _ = write!(text, "  {service} {calls}");
    }
    text.push('\n');
}

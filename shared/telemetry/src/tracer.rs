//! Spans of an application's trace, one for each entry of its journal, sent to the X-Ray daemon over UDP.
//!
//! A span runs from the entry that asked for a stage to the entry that ended it, and hangs below the span of the former.
//! Its id follows from the application and the entry's number, as the trace's id follows from the application: whoever
//! commits an entry knows both without being told. Lambda's own trace of the invocation is named in an annotation.
//!
//! OpenTelemetry's data model and its exporter for X-Ray are used without a tracer in between, which would choose ids and
//! times of its own.

use crate::Invocation;
use domain::ApplicationId;
use futures::FutureExt as _;
use jiff::Timestamp;
use opentelemetry::{
    InstrumentationScope, KeyValue, SpanId, TraceFlags, TraceId,
    trace::{SpanContext, SpanKind, Status, TraceState},
};
use opentelemetry_aws::xray_exporter::{SegmentTranslator, XrayExporter, daemon_client::XrayDaemonClient};
use opentelemetry_sdk::trace::{SpanData, SpanEvents, SpanExporter as _, SpanLinks};
use ports::observer::{Recorded, StageTime};
use std::{
    io,
    net::SocketAddr,
    time::{Duration, SystemTime},
};

/// The share of applications whose trace is sent: each span is a segment that X-Ray charges for.
pub const TRACED_PERCENT: u64 = 5;
/// The number that stands for the instruction of a bank, which is no entry. Entries end at 9,999.
const INSTRUCTION: u32 = 10_000;

/// Sends spans.
#[derive(Debug)]
pub struct Tracer {
    exporter: XrayExporter<XrayDaemonClient>,
    percent: u64,
}

/// From when to when, and below what.
struct Extent {
    number: u32,
    parent: Option<u32>,
    from: Timestamp,
    to: Timestamp,
}

impl Tracer {
    /// To the daemon at this address, for a share of all applications.
    pub fn new(daemon: SocketAddr, percent: u64) -> io::Result<Self> {
        // The first digits of our trace ids are no time.
        let translator = SegmentTranslator::new().index_all_attrs().skip_timestamp_validation();
        let exporter = XrayExporter::new(XrayDaemonClient::new(daemon)?).with_translator(translator);
        Ok(Self { exporter, percent })
    }

    /// Whether this application is traced: the same for all of its functions.
    pub fn follows(&self, application: ApplicationId) -> bool {
        application.spread() % 100 < self.percent
    }

    pub(crate) fn recorded(&self, by: &str, recorded: &Recorded<'_>) {
        let Recorded { application, entry, stages, .. } = recorded;
        let events: Vec<&str> = entry.events.iter().map(|event| event.name()).collect();
        let stage = stages.first();
        let extent = Extent {
            number: entry.number,
            parent: stage.map(|time| time.cause).or((entry.number > 1).then_some(entry.number - 1)),
            from: stage.map_or(entry.at, |time| time.from.min(entry.at)),
            to: entry.at,
        };
        let mut attributes = vec![KeyValue::new("event", events.join(" "))];
        attributes.extend(stage.map(|time| KeyValue::new("stage", time.stage.as_str())));
        self.send(by, *application, &extent, attributes);
    }

    pub(crate) fn instructed(&self, by: &str, application: ApplicationId, time: &StageTime) {
        let extent = Extent {
            number: INSTRUCTION,
            parent: Some(time.cause),
            from: time.from.min(time.to),
            to: time.to,
        };
        self.send(by, application, &extent, vec![KeyValue::new("stage", time.stage.as_str())]);
    }

    fn send(&self, by: &str, application: ApplicationId, extent: &Extent, mut attributes: Vec<KeyValue>) {
        if !self.follows(application) {
            return;
        }
        attributes.push(KeyValue::new("application_id", application.to_string()));
        let lambda = Invocation::current().and_then(|invocation| invocation.trace_id);
        attributes.extend(lambda.map(|trace| KeyValue::new("lambda_trace", trace)));
        let span = SpanData {
            span_context: SpanContext::new(
                TraceId::from(application.trace_id().as_u128()),
                span_id(application, extent.number),
                TraceFlags::SAMPLED,
                true,
                TraceState::NONE,
            ),
            parent_span_id: extent.parent.map_or(SpanId::INVALID, |number| span_id(application, number)),
            parent_span_is_remote: true,
            span_kind: SpanKind::Server,
            name: by.split('/').next().unwrap_or(by).to_owned().into(),
            start_time: system_time(extent.from),
            end_time: system_time(extent.to),
            attributes,
            dropped_attributes_count: 0,
            events: SpanEvents::default(),
            links: SpanLinks::default(),
            status: Status::Unset,
            instrumentation_scope: InstrumentationScope::builder("lending").build(),
        };
        // The exporter hands a datagram to the kernel and never waits.
        if let Some(Err(error)) = self.exporter.export(vec![span]).now_or_never() {
            tracing::debug!(%error, "a span was not sent");
        }
    }
}

/// Before 1970 is 1970.
fn system_time(at: Timestamp) -> SystemTime {
    let since = u64::try_from(at.as_nanosecond()).unwrap_or(0);
    SystemTime::UNIX_EPOCH + Duration::from_nanos(since)
}

/// Different for every entry of an application, and never zero, which would be no id.
fn span_id(application: ApplicationId, number: u32) -> SpanId {
    SpanId::from(application.spread().wrapping_add(u64::from(number)).max(1))
}

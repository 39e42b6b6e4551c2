//! One run: a world with one clock and one source of chance, in which one thing happens at a time.

use super::{
    Functions, Machine, Plan,
    borrowers::{Borrower, Step},
    counterparties::{Callback, Counterparties},
    faults::{Counts, FaultKind, Safeguard, Weather},
    tables::Tables,
};
use fastrand::Rng;
use futures::FutureExt as _;
use jiff::{SignedDuration, Timestamp};
use lambda_kit::{Failure, Function};
use serde_json::{Value, json};
use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Write as _,
    panic::AssertUnwindSafe,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, Waker},
    time::Duration,
};

/// More steps than any run needs.
const MOST_STEPS: u32 = 60_000;
/// Invocations that run at once.
const AT_ONCE: usize = 6;
/// The functions that run every minute, each with the table whose due rows it looks after.
const SCHEDULED: [(&str, &str); 2] = [("sweeper", "journeys"), ("notify", "notices")];
/// How far behind its cursor the sweeper looks, and a little more.
const BEHIND_CURSOR: SignedDuration = SignedDuration::from_secs(61);
/// How often a counterparty delivers a callback that is not taken, and after how long, in seconds.
const CALLBACK_WAITS: [i64; 6] = [1, 5, 30, 120, 600, 3_600];

/// A message in a queue.
#[derive(Clone, Debug)]
pub(super) struct Message {
    pub queue: String,
    pub body: String,
    pub receives: u32,
}

/// Something that will happen.
#[derive(Clone, Debug)]
pub(super) enum Later {
    Deliver(Message),
    BorrowerActs(usize),
    BankFinishes {
        payout: String,
        misbehaves: bool,
    },
    CallsBack(Callback),
    /// Looks whether an endpoint is disabled, and enables it.
    OperatorLooks,
}

/// Why a function was invoked, and who waits for its answer.
enum Cause {
    Message(Message),
    Borrower(usize, Step),
    Callback(Callback),
    Schedule,
    Operator,
}

type Running = Pin<Box<dyn Future<Output = std::thread::Result<Result<Value, Failure>>>>>;

struct Invocation {
    function: String,
    running: Running,
    cause: Cause,
    ends_at: Timestamp,
    /// How far its clock is off.
    skew: SignedDuration,
    /// It runs on code that is one version newer.
    newer: bool,
    /// It waits for time and for no effect.
    sleeps: bool,
}

/// The world of one run.
pub(super) struct World<'m> {
    pub machine: &'m Machine,
    functions: Functions,
    pub tables: Tables,
    pub far: Counterparties,
    pub borrowers: Vec<Borrower>,
    pub counts: Counts,
    pub violations: Vec<String>,
    pub trace: String,
    pub now: Timestamp,
    pub(super) rng: Rng,
    pub(super) plan: Plan,
    pub(super) weather: Weather,
    clears_at: Timestamp,
    later: BTreeMap<(Timestamp, u64), Later>,
    next_later: u64,
    invocations: BTreeMap<u64, Invocation>,
    next_invocation: u64,
    dead: Vec<Message>,
    pub(super) sent: Vec<Message>,
    taken: Vec<Callback>,
    /// When the functions with a schedule run next and find something, in the order of [`SCHEDULED`].
    next_runs: [Option<Timestamp>; 2],
    pub(super) due_has_changed: bool,
    pub steps: u32,
    pub(super) fresh_keys: u64,
    /// Journal entries as they were first written, by partition and sort key.
    pub(super) entries: BTreeMap<(String, String), String>,
    /// Payouts that were paid late while another loan had their firm.
    pub(super) met_another_loan: BTreeSet<String>,
}

impl<'m> World<'m> {
    pub(super) fn new(machine: &'m Machine, seed: u64, plan: Plan) -> Result<Self, String> {
        machine.gate.reset();
        let mut rng = Rng::with_seed(seed);
        let now = machine.beginning;
        let weather = Weather::of(&mut rng);
        // Most weather clears within the hour; some lasts beyond a day, when payouts are given up.
        let lasts = match rng.u32(0..40) {
            0 => rng.i64(86_400..100_000),
            1..10 => rng.i64(600..7_200),
            _ => rng.i64(30..600),
        };
        let far = Counterparties::new(machine.signer.clone(), machine.verifier.clone());
        let mut world = Self {
            machine,
            functions: machine.functions().map_err(|error| error.to_string())?,
            tables: Tables::new(&machine.recording)?,
            far,
            borrowers: Vec::new(),
            counts: Counts::default(),
            violations: Vec::new(),
            trace: String::new(),
            now,
            rng,
            plan,
            weather,
            clears_at: now + SignedDuration::from_secs(lasts),
            later: BTreeMap::new(),
            next_later: 0,
            invocations: BTreeMap::new(),
            next_invocation: 1,
            dead: Vec::new(),
            sent: Vec::new(),
            taken: Vec::new(),
            next_runs: [None; 2],
            due_has_changed: false,
            steps: 0,
            fresh_keys: 0,
            entries: BTreeMap::new(),
            met_another_loan: BTreeSet::new(),
        };
        world.borrowers = Borrower::cast(machine, &mut world.rng);
        for number in 0..world.borrowers.len() {
            let firm = world.borrowers[number].firm_code();
            if let Some(body) = machine.recording.firms.get(&firm) {
                world.tables.call("BatchWriteItem", body);
            }
            let at = SignedDuration::from_millis(world.rng.i64(0..3_000));
            world.plan_later(at, Later::BorrowerActs(number));
        }
        Ok(world)
    }

    /// Runs until nothing is left to happen, then delivers old things once more, and runs to the end again.
    pub(super) async fn run(&mut self) {
        while self.step().await {}
        self.weather = Weather::CALM;
        let dead = std::mem::take(&mut self.dead);
        for message in dead {
            self.counts.add(FaultKind::Redrive);
            self.plan_later(SignedDuration::ZERO, Later::Deliver(Message { receives: 0, ..message }));
        }
        for _ in 0..2 {
            if let Some(message) = self.rng.choice(&self.sent).cloned() {
                self.counts.add(FaultKind::Delay);
                let late = SignedDuration::from_secs(self.rng.i64(0..14 * 86_400));
                self.plan_later(late, Later::Deliver(Message { receives: 0, ..message }));
            }
        }
        for _ in 0..2 {
            if let Some(callback) = self.rng.choice(&self.taken).cloned() {
                self.counts.add(FaultKind::CallbackReplayed);
                self.plan_later(SignedDuration::from_secs(1), Later::CallsBack(callback));
            }
        }
        while self.step().await {}
    }

    pub(super) fn plan_later(&mut self, after: SignedDuration, what: Later) {
        let key = (self.now + after, self.next_later);
        self.next_later += 1;
        self.later.insert(key, what);
    }

    pub(super) fn tell(&mut self, what: std::fmt::Arguments<'_>) {
        let since = self.now.duration_since(self.machine.beginning).as_millis();
        let _ = writeln!(self.trace, "{since} {what}");
    }

    pub(super) fn chance(&mut self, in_a_thousand: u32) -> bool {
        in_a_thousand > 0 && self.rng.u32(0..1000) < in_a_thousand
    }

    /// One thing happens. `false` when nothing is left.
    async fn step(&mut self) -> bool {
        self.steps += 1;
        if self.steps > MOST_STEPS {
            self.violations.push("the run never comes to rest".to_owned());
            return false;
        }
        if self.now >= self.clears_at {
            self.weather = Weather::CALM;
        }
        self.end_overdue();
        if self.wake_sleepers().await {
            return true;
        }
        let ready = self.machine.gate.ready(self.now);
        let may_start = self.invocations.len() < AT_ONCE;
        let due: Vec<(Timestamp, u64)> = if may_start {
            self.later.range(..=(self.now, u64::MAX)).map(|(key, _)| *key).collect()
        } else {
            Vec::new()
        };
        let runs: Vec<usize> = (0..SCHEDULED.len())
            .filter(|place| may_start && self.next_runs[*place].is_some_and(|at| at <= self.now))
            .collect();
        let choices = ready.len() + due.len() + runs.len();
        if choices == 0 {
            return self.pass_time();
        }
        let choice = self.rng.usize(0..choices);
        self.now += SignedDuration::from_micros(self.rng.i64(0..2_000));
        if let Some(number) = ready.get(choice) {
            self.happen(*number);
        } else if let Some(key) = due.get(choice - ready.len()) {
            if let Some(what) = self.later.remove(key) {
                self.begin(what);
            }
        } else if let Some(place) = runs.get(choice - ready.len() - due.len()) {
            self.next_runs[*place] = None;
            let function = SCHEDULED[*place].0;
            self.invoke(function, crate::eventbridge::scheduled(function, self.now), Cause::Schedule);
        }
        true
    }

    /// Moves the clock to the next thing that can happen.
    fn pass_time(&mut self) -> bool {
        self.plan_runs();
        let next = [
            self.later.keys().next().map(|(at, _)| *at),
            self.machine.gate.next_ready(),
            self.invocations.values().map(|i| i.ends_at).min(),
            self.next_runs[0],
            self.next_runs[1],
        ];
        // What is due already waits for one of the invocations to end, not for time.
        let Some(next) = next.into_iter().flatten().filter(|at| *at > self.now).min() else { return false };
        self.now = next;
        true
    }

    /// Schedules come every minute; the runs that would find nothing are passed over.
    fn plan_runs(&mut self) {
        if !std::mem::take(&mut self.due_has_changed) {
            return;
        }
        for (place, (function, table)) in SCHEDULED.into_iter().enumerate() {
            let missing = self.plan.without == Some(Safeguard::OutboxResend) && function == "sweeper";
            self.next_runs[place] = self.first_due(table).filter(|_| !missing).map(|at| {
                let minute = at.max(self.now).as_second().div_euclid(60) + 1;
                Timestamp::from_second(minute * 60).unwrap_or(Timestamp::MAX)
            });
        }
    }

    /// The first row that a run would look at. What lies well behind the sweeper's cursor it never looks at again.
    fn first_due(&self, table: &str) -> Option<Timestamp> {
        let items = self.tables.items(table);
        let cursor = items.iter().find_map(|item| item["swept_until"]["S"].as_str()?.parse().ok());
        let from = cursor.map_or(Timestamp::MIN, |at: Timestamp| at - BEHIND_CURSOR);
        let due = items.iter().filter(|item| item["due_shard"]["S"] != "dead").filter_map(|item| {
            let at: i64 = item["due_at"]["N"].as_str()?.parse().ok()?;
            Timestamp::from_millisecond(at).ok().filter(|at| *at >= from)
        });
        due.min()
    }

    fn begin(&mut self, what: Later) {
        match what {
            Later::Deliver(message) => {
                let Some(function) = self.machine.reader_of(&message.queue) else { return };
                let event = json!({ "Records": [{
                    "messageId": "m", "receiptHandle": "r", "body": message.body, "attributes": {},
                    "messageAttributes": {}, "eventSource": "aws:sqs",
                    "eventSourceARN": "arn:aws:sqs:local:000000000000:q", "awsRegion": "local",
                }]});
                let message = Message { receives: message.receives + 1, ..message };
                self.invoke(&function, event, Cause::Message(message));
            }
            Later::BorrowerActs(number) => {
                if let Some((step, function, event)) = self.borrowers[number].act(self.now) {
                    if step == Step::Cancel {
                        self.counts.add(FaultKind::BorrowerCancels);
                    }
                    self.invoke(function, event, Cause::Borrower(number, step));
                }
            }
            Later::BankFinishes { payout, misbehaves } => {
                let misbehaves = misbehaves && self.weather.bank > 0;
                self.tell(format_args!("the bank finishes {payout}"));
                let said = self.far.finish(&payout, misbehaves, self.now, &mut self.rng, &mut self.counts);
                for (after, what) in said {
                    self.plan_later(after, what);
                }
            }
            Later::OperatorLooks => {
                let disabled = self.tables.items("endpoints").into_iter().find_map(|item| {
                    item["disabled_since"]["S"].as_str().and(item["pk"]["S"].as_str()).map(str::to_owned)
                });
                if let Some(endpoint) = disabled {
                    self.invoke("notify", json!({ "enable": endpoint }), Cause::Operator);
                }
            }
            Later::CallsBack(callback) => {
                let body = callback.body.to_string();
                let headers = self.far.sign(&callback, body.as_bytes(), self.now);
                let (function, event) = super::borrowers::callback_event(&callback.path, &headers, &body);
                self.invoke(function, event, Cause::Callback(callback));
            }
        }
    }

    fn invoke(&mut self, name: &str, event: Value, cause: Cause) {
        let Some((function, timeout)) = self.functions.get(name).cloned() else { return };
        let number = self.next_invocation;
        self.next_invocation += 1;
        let mut skew = SignedDuration::ZERO;
        if self.chance(self.weather.invocation) {
            self.counts.add(FaultKind::ClockOff);
            skew = SignedDuration::from_millis(self.rng.i64(-3_000..3_000));
        }
        let newer = self.chance(self.weather.invocation);
        if newer {
            self.counts.add(FaultKind::NewerVersion);
        }
        self.tell(format_args!("{number} {name} begins"));
        let running = call(function, event);
        let ends_at = self.now + SignedDuration::try_from(timeout).unwrap_or(SignedDuration::from_secs(30));
        let invocation =
            Invocation { function: name.to_owned(), running, cause, ends_at, skew, newer, sleeps: false };
        self.invocations.insert(number, invocation);
        self.poll(number);
    }

    /// Lets an invocation run until it wants an effect, sleeps, or ends.
    pub(super) fn poll(&mut self, number: u64) {
        let Some(invocation) = self.invocations.get_mut(&number) else { return };
        self.machine.gate.enter(number, self.now + invocation.skew);
        let polled = invocation.running.as_mut().poll(&mut Context::from_waker(Waker::noop()));
        match polled {
            Poll::Pending => invocation.sleeps = !self.machine.gate.is_waiting(number),
            Poll::Ready(Err(_)) => {
                let name = invocation.function.clone();
                self.violations.push(format!("{name} panicked"));
                self.ended(number, None);
            }
            Poll::Ready(Ok(answer)) => self.ended(number, Some(answer)),
        }
    }

    /// Invocations that only wait for time: they back off from another transaction.
    async fn wake_sleepers(&mut self) -> bool {
        let sleepers: Vec<u64> =
            self.invocations.iter().filter(|(_, i)| i.sleeps).map(|(number, _)| *number).collect();
        if sleepers.is_empty() {
            return false;
        }
        tokio::time::advance(Duration::from_millis(200)).await;
        self.now += SignedDuration::from_millis(200);
        for number in sleepers {
            self.poll(number);
        }
        true
    }

    /// Whether an invocation runs on the newer version, and how far its clock is off.
    pub(super) fn traits_of(&self, number: u64) -> (bool, SignedDuration) {
        self.invocations.get(&number).map_or((false, SignedDuration::ZERO), |i| (i.newer, i.skew))
    }

    pub(super) fn function_of(&self, number: u64) -> Option<&str> {
        self.invocations.get(&number).map(|invocation| invocation.function.as_str())
    }

    pub(super) fn is_of(&self, number: u64, function: &str) -> bool {
        self.invocations.get(&number).is_some_and(|invocation| invocation.function == function)
    }

    fn end_overdue(&mut self) {
        let overdue: Vec<u64> = self
            .invocations
            .iter()
            .filter(|(_, i)| i.ends_at <= self.now)
            .map(|(number, _)| *number)
            .collect();
        for number in overdue {
            self.counts.add(FaultKind::TimedOut);
            self.ended(number, None);
        }
    }

    /// An invocation has ended: with an answer or an error of its own, or (`None`) because it was ended.
    pub(super) fn ended(&mut self, number: u64, answer: Option<Result<Value, Failure>>) {
        self.machine.gate.forget(number);
        let Some(invocation) = self.invocations.remove(&number) else { return };
        let answer = answer.and_then(Result::ok);
        self.tell(format_args!(
            "{number} {} ends {}",
            invocation.function,
            if answer.is_some() { "" } else { "badly" }
        ));
        match invocation.cause {
            Cause::Message(message) => {
                let handled =
                    answer.is_some_and(|a| a["batchItemFailures"].as_array().is_some_and(Vec::is_empty));
                if !handled {
                    self.returned(message);
                }
            }
            Cause::Borrower(borrower, step) => {
                let lost = self.chance(self.weather.effect);
                let answer = answer.filter(|_| !lost);
                let next = self.borrowers[borrower].heard(step, answer.as_ref(), &mut self.rng);
                if let Some(after) = next {
                    self.plan_later(after, Later::BorrowerActs(borrower));
                }
            }
            Cause::Callback(callback) => self.called_back(callback, answer.as_ref()),
            // What a run did not finish, and what lies in the sweeper's overlap, the next one looks at.
            Cause::Schedule => self.due_has_changed = true,
            Cause::Operator => self.plan_later(SignedDuration::from_secs(1), Later::OperatorLooks),
        }
    }

    /// A message that was not handled comes again after its queue's visibility time-out, until it is dead.
    fn returned(&mut self, message: Message) {
        let (visibility, most) = self.machine.redelivery_of(&message.queue);
        if message.receives >= most {
            self.tell(format_args!("a message of {} is dead", message.queue));
            self.dead.push(message);
        } else {
            self.plan_later(visibility, Later::Deliver(message));
        }
    }

    fn called_back(&mut self, callback: Callback, answer: Option<&Value>) {
        let status = answer.and_then(|a| a["statusCode"].as_u64()).unwrap_or(500);
        self.tell(format_args!("{} was answered {status}", callback.message_id));
        if status < 300 {
            self.taken.push(Callback { attempt: 0, ..callback.clone() });
        }
        // What is refused for good is not delivered again; *unknown* may only be early.
        let again = status >= 500 || status == 404 || status == 401;
        let waits = CALLBACK_WAITS.get(callback.attempt as usize).filter(|_| again);
        if let Some(seconds) = waits {
            let callback = Callback { attempt: callback.attempt + 1, ..callback };
            self.plan_later(SignedDuration::from_secs(*seconds), Later::CallsBack(callback));
        }
    }
}

fn call(function: Arc<dyn Function>, event: Value) -> Running {
    Box::pin(tokio::task::unconstrained(
        AssertUnwindSafe(async move { function.call(event).await }).catch_unwind(),
    ))
}

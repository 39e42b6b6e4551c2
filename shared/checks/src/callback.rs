//! From the provider's answer to the journal.

use crate::Checks;
use contract::provider::CheckCallback;
use counterparties::{
    CheckKind,
    callbacks::{self, Genuine},
};
use domain::{
    Application, ApplicationId,
    application::Traces,
    checks::CheckAnswer,
    journey::{Event, TransitionError},
};
use jiff::Timestamp;
use lambda_kit::{
    Invocation,
    http::{Request, Response, problem},
};
use ports::{
    PortError,
    relation::{Act, ActKind, Node, NodeKind},
};
use steps::{AdvanceError, Advanced};

impl Checks {
    /// Records the provider's answer and tells the provider whether it need deliver it again.
    pub(crate) async fn answered(&self, request: &Request) -> Response {
        let Genuine { message_id, body } =
            match callbacks::read::<CheckCallback>(request, &self.verifier, self.journeys.clock.now()) {
                Ok(genuine) => genuine,
                Err(problem) => return problem.into(),
            };
        Invocation::is_about(body.application_id);
        let loaded = match self.journeys.load(body.application_id).await {
            Ok(Some(loaded)) => loaded,
            Ok(None) => return callbacks::unknown(),
            Err(error) => return callbacks::not_recorded(&error),
        };
        if !is_bound_to(&body, self.kind, &loaded.journey.application) {
            tracing::warn!(
                application_id = %body.application_id,
                %message_id,
                "a genuine callback names another check or person than was asked for"
            );
            return problem(403, "not-bound", "The callback belongs to another check or person").into();
        }
        let word = event(self.kind, &body, message_id.into());
        let traces = loaded.journey.application.traces.clone();
        let advanced = self.journeys.advance_from(loaded, std::slice::from_ref(&word)).await;
        let (mut answer, mut recorded_at) = match advanced {
            Ok(Advanced::Recorded(journey)) => (callbacks::recorded(), Some(journey.updated_at)),
            Ok(Advanced::Repeated(_)) => (callbacks::recorded(), None),
            Err(error) if has_ended(&error) => (callbacks::too_late(), None),
            Err(error) => return callbacks::not_recorded(&error),
        };
        if body.answer != CheckAnswer::Mismatch {
            return answer;
        }
        if recorded_at.is_none() {
            // The same word may come again because its trace could not be written.
            recorded_at = match self.recorded_at(body.application_id, &word).await {
                Ok(recorded_at) => recorded_at,
                Err(error) => return callbacks::not_recorded(&error),
            };
        }
        // A word that contradicts the one that was recorded leaves no trace.
        if let Some(at) = recorded_at {
            if let Err(error) = self.remember_mismatch(traces, at).await {
                return callbacks::not_recorded(&error.into());
            }
            answer = callbacks::recorded();
        }
        answer
    }
}

impl Checks {
    /// When this very word was recorded, be it by another invocation a moment ago.
    async fn recorded_at(
        &self,
        application: ApplicationId,
        word: &Event,
    ) -> Result<Option<Timestamp>, AdvanceError> {
        Ok(self.journeys.load(application).await?.and_then(|loaded| loaded.recorded_at(word)))
    }

    /// The device was seen by the channel; what else the application names may be somebody else's.
    async fn remember_mismatch(&self, traces: Traces, at: Timestamp) -> Result<(), PortError> {
        let kind = match self.kind {
            CheckKind::Face => ActKind::FaceMismatch,
            CheckKind::Phone => ActKind::PhoneMismatch,
        };
        let device = Node { kind: NodeKind::Device, hash: traces.device };
        self.acts.record(&device, &Act { kind, who: traces.person, at }).await
    }
}

/// Whether a callback answers the check that we started: for this application, of this kind, of this attempt, and about
/// the person who applied. A face that somebody else passed is genuine, and worth nothing here.
pub fn is_bound_to(callback: &CheckCallback, kind: CheckKind, application: &Application) -> bool {
    callback.application_id == application.id
        && callback.check_id == kind.check_id(application.id, callback.attempt)
        && callback.person_ref == application.traces.person
}

fn event(kind: CheckKind, callback: &CheckCallback, message_id: String) -> Event {
    let (attempt, answer) = (callback.attempt, callback.answer);
    match kind {
        CheckKind::Face => Event::FaceChecked { attempt, answer, message_id },
        CheckKind::Phone => Event::PhoneChecked { attempt, answer, message_id },
    }
}

fn has_ended(error: &AdvanceError) -> bool {
    matches!(error, AdvanceError::Transition(TransitionError::Forbidden { status, .. }) if status.is_end())
}

#[cfg(test)]
mod tests {
    use super::*;
    use domain::{ApplicationId, checks::CheckAnswer, samples::application};

    fn callback(kind: CheckKind, id: ApplicationId) -> CheckCallback {
        CheckCallback {
            check_id: kind.check_id(id, 1),
            application_id: id,
            attempt: 1,
            person_ref: application().traces.person,
            answer: CheckAnswer::Match,
            checked_at: "2026-11-02T08:00:01Z".parse().unwrap(),
        }
    }

    #[test]
    fn the_answer_to_our_own_check_is_bound_to_it() {
        let application = application();
        for kind in [CheckKind::Face, CheckKind::Phone] {
            assert!(is_bound_to(&callback(kind, application.id), kind, &application));
        }
    }

    #[test]
    fn a_face_passed_by_somebody_else_is_not_ours() {
        let application = application();
        let passed_by_b =
            CheckCallback { person_ref: "person-b".into(), ..callback(CheckKind::Face, application.id) };
        assert!(!is_bound_to(&passed_by_b, CheckKind::Face, &application));
    }

    #[test]
    fn the_answer_to_another_application_kind_or_attempt_is_not_ours() {
        let application = application();
        let other = ApplicationId::from_bytes([2; 16]);
        let ours = callback(CheckKind::Face, application.id);
        let of_another = CheckCallback { check_id: CheckKind::Face.check_id(other, 1), ..ours.clone() };
        let of_another_attempt = CheckCallback { attempt: 2, ..ours.clone() };
        assert!(!is_bound_to(&of_another, CheckKind::Face, &application));
        assert!(!is_bound_to(&of_another_attempt, CheckKind::Face, &application));
        assert!(!is_bound_to(&ours, CheckKind::Phone, &application), "a face is no phone");
        assert!(!is_bound_to(&callback(CheckKind::Face, other), CheckKind::Face, &application));
    }
}

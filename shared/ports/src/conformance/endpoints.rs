//! What the record of endpoints promises.

use super::at;
use crate::endpoints::{EndpointId, EndpointState, Endpoints};
use domain::Channel;
use futures::future::join_all;
use jiff::SignedDuration;

fn river() -> EndpointId {
    EndpointId::bank("river-bank")
}

pub async fn nothing_is_held_against_an_endpoint_at_first(endpoints: &dyn Endpoints) {
    assert_eq!(endpoints.get(&river()).await.unwrap(), EndpointState::default());
    endpoints.enable(&river()).await.unwrap();
    assert_eq!(endpoints.get(&river()).await.unwrap(), EndpointState::default());
}

pub async fn an_endpoint_is_held_back_and_never_for_less_than_was_promised(endpoints: &dyn Endpoints) {
    for until in [at(1_000), at(9_000), at(5_000)] {
        endpoints.hold_back(&river(), until).await.unwrap();
    }
    let state = endpoints.get(&river()).await.unwrap();
    let not_before = state.not_before.unwrap();
    assert!(not_before >= at(9_000) && not_before < at(9_001), "{state:?}");
    assert_eq!(state.disabled_since, None);
}

pub async fn of_racing_promises_the_latest_stands(endpoints: &dyn Endpoints) {
    let river = river();
    join_all((0..8).map(|n| endpoints.hold_back(&river, at(n * 1_000)))).await;
    let not_before = endpoints.get(&river).await.unwrap().not_before.unwrap();
    assert!(not_before.duration_since(at(7_000)) < SignedDuration::from_millis(1));
}

pub async fn a_disabled_endpoint_stays_so_from_the_first_time_on_until_it_is_enabled(
    endpoints: &dyn Endpoints,
) {
    endpoints.disable(&river(), at(10)).await.unwrap();
    endpoints.disable(&river(), at(20)).await.unwrap();
    endpoints.hold_back(&river(), at(1_000)).await.unwrap();
    let state = endpoints.get(&river()).await.unwrap();
    assert_eq!(state.disabled_since, Some(at(10)));
    assert!(state.not_before.is_some());
    endpoints.enable(&river()).await.unwrap();
    assert_eq!(endpoints.get(&river()).await.unwrap(), EndpointState::default());
}

pub async fn endpoints_do_not_see_each_other(endpoints: &dyn Endpoints) {
    endpoints.disable(&river(), at(10)).await.unwrap();
    for other in [EndpointId::bank("lake-bank"), EndpointId::channel(Channel::MiniProgram)] {
        assert_eq!(endpoints.get(&other).await.unwrap(), EndpointState::default());
    }
}

//! What the record of sign-ins promises.

use super::at;
use crate::sign_ins::{Recorded, SignIn, SignIns, Visit};
use domain::Channel;
use futures::future::join_all;

fn sign_in(code: &str, place: Option<&str>) -> SignIn {
    SignIn {
        borrower: "borrower-hash".to_owned(),
        code: code.to_owned(),
        channel: Channel::MiniProgram,
        device: "device-hash".to_owned(),
        network: "network-hash".to_owned(),
        place: place.map(str::to_owned),
        at: at(0),
    }
}

pub async fn a_code_signs_in_once(sign_ins: &dyn SignIns) {
    let sign_in = sign_in("code", Some("Fuzhou"));
    assert_eq!(sign_ins.record(&sign_in).await.unwrap(), Recorded::Yes);
    assert_eq!(sign_ins.record(&sign_in).await.unwrap(), Recorded::CodeUsed);
}

pub async fn another_code_of_the_same_borrower_signs_in_too(sign_ins: &dyn SignIns) {
    assert_eq!(sign_ins.record(&sign_in("code 1", None)).await.unwrap(), Recorded::Yes);
    assert_eq!(sign_ins.record(&sign_in("code 2", None)).await.unwrap(), Recorded::Yes);
}

pub async fn of_racing_sign_ins_with_one_code_exactly_one_is_recorded(sign_ins: &dyn SignIns) {
    let sign_in = sign_in("code", None);
    let outcomes = join_all((0..8).map(|_| sign_ins.record(&sign_in))).await;
    let recorded = outcomes.into_iter().filter(|outcome| *outcome.as_ref().unwrap() == Recorded::Yes);
    assert_eq!(recorded.count(), 1);
}

pub async fn what_is_erased_was_the_borrowers_and_its_codes_stay_used(sign_ins: &dyn SignIns) {
    let own = [sign_in("code 1", Some("Fuzhou")), sign_in("code 2", None)];
    let other = SignIn { borrower: "somebody else".to_owned(), ..sign_in("code 3", None) };
    for sign_in in own.iter().chain([&other]) {
        assert_eq!(sign_ins.record(sign_in).await.unwrap(), Recorded::Yes);
    }
    let visit = Visit { device: "device-hash".into(), network: "network-hash".into(), at: at(0) };
    assert_eq!(sign_ins.visits("borrower-hash").await.unwrap(), [visit.clone(), visit]);
    assert_eq!(sign_ins.erase("borrower-hash").await.unwrap(), 2);
    assert_eq!(sign_ins.visits("borrower-hash").await.unwrap(), [], "nothing is told of what is erased");
    for sign_in in own.iter().chain([&other]) {
        assert_eq!(sign_ins.record(sign_in).await.unwrap(), Recorded::CodeUsed);
    }
    assert_eq!(sign_ins.erase("nobody").await.unwrap(), 0);
}

//! What the record of sign-ins promises.

use super::at;
use crate::sign_ins::{Recorded, SignIn, SignIns};
use domain::{Channel, Subject};
use futures::future::join_all;

fn sign_in(code: &str, place: Option<&str>) -> SignIn {
    SignIn {
        code: code.to_owned(),
        channel: Channel::MiniProgram,
        subject: Subject::try_from("borrower-1".to_owned()).unwrap(),
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

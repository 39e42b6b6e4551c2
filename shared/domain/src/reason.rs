//! Why an application ended as it did, in words that a borrower can act on.

use serde::{Deserialize, Serialize};

macro_rules! reasons {
    ($($variant:ident $code:literal $zh:literal $en:literal)*) => {
        /// A reason code. The code is stable; the texts may be improved.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        pub enum Reason {
            $(#[serde(rename = $code)] $variant,)*
        }

        impl Reason {
            /// Every reason there is.
            pub const ALL: &[Reason] = &[$(Reason::$variant),*];

            /// The stable code.
            pub const fn code(self) -> &'static str {
                match self { $(Reason::$variant => $code,)* }
            }

            /// What the borrower reads, in Chinese.
            pub const fn zh(self) -> &'static str {
                match self { $(Reason::$variant => $zh,)* }
            }

            /// What the borrower reads, in English.
            pub const fn en(self) -> &'static str {
                match self { $(Reason::$variant => $en,)* }
            }
        }
    };
}

reasons! {
    IdentityMismatch "IDENTITY_MISMATCH" "法定代表人信息与登记信息不一致" "The legal representative does not match the firm's registration"
    FirmBanned "FIRM_BANNED" "企业被列入失信名单或已被吊销" "The firm is on the list of dishonest debtors or its licence is revoked"
    FaceMismatch "FACE_MISMATCH" "人脸核验未通过" "The face check did not match"
    FaceUnverified "FACE_UNVERIFIED" "多次人脸核验均无法得出结果" "The face check gave no answer in three tries"
    FaceConsentRefused "FACE_CONSENT_REFUSED" "未同意人脸识别，且渠道无其他身份证明" "Face recognition was refused and the channel offers no other proof of identity"
    PhoneMismatch "PHONE_MISMATCH" "手机号与本人信息不一致" "The phone number does not belong to the applicant"
    PhoneUnverified "PHONE_UNVERIFIED" "多次本机号码核验均无法得出结果" "The phone check gave no answer in three tries"
    ScoreLow "SCORE_LOW" "综合信用评分未达到要求" "The credit score is below what the product asks for"
    DataMissing "DATA_MISSING" "可用数据不足，无法评估" "There is too little data about the firm to decide"
    RingSuspected "RING_SUSPECTED" "申请与其他申请存在异常关联" "The application is unusually linked with other applications"
    RingDeviceFarm "RING_DEVICE_FARM" "多人共用同一设备集中申请" "Many persons apply on the same device"
    RingAgency "RING_AGENCY" "申请疑由他人代多家企业集中提交" "The application seems to be made by somebody who applies for many firms"
    RingShellFirms "RING_SHELL_FIRMS" "申请企业与同一控制人的多家企业高度关联" "The firm is one of many in the same few hands"
    RingGuaranteeCircle "RING_GUARANTEE_CIRCLE" "企业处于循环互保关系之中" "The firm is part of a circle of firms that guarantee each other"
    RingLoanStacking "RING_LOAN_STACKING" "短期内向多家银行集中申请借款" "Loans were asked of many banks within days"
    RingOverdueLinked "RING_OVERDUE_LINKED" "申请与多笔逾期贷款所在的关联群体有关" "The application belongs to a group with several overdue loans"
    OverdueLinked "OVERDUE_LINKED" "申请与逾期三十天以上的贷款存在关联" "The application is closely linked with a loan that is overdue by 30 days or more"
    AmountTooHigh "AMOUNT_TOO_HIGH" "申请金额超过可授信额度，已调整" "The amount was lowered to what the firm's record supports"
    AmountUnsupported "AMOUNT_UNSUPPORTED" "企业经营数据可支持的额度低于该产品的最低金额" "The firm's record supports less than the product's smallest loan"
    FirmTooYoung "FIRM_TOO_YOUNG" "企业成立时间不足" "The firm was founded too recently"
    BankLimitReached "BANK_LIMIT_REACHED" "该产品额度已用完" "The bank's limit for this product is used up"
    LoanOutstanding "LOAN_OUTSTANDING" "企业在本平台有正在发放或尚未结清的贷款" "The firm has a loan with us that is being paid out or is not yet settled"
    BankRefused "BANK_REFUSED" "银行未批准放款" "The bank refused the payout"
    BankFailed "BANK_FAILED" "银行放款失败" "The bank could not pay out"
    BankUnavailable "BANK_UNAVAILABLE" "银行已停止接收放款指令" "The bank no longer takes payout instructions"
    ChecksTimedOut "CHECKS_TIMED_OUT" "核验超时" "The checks were not finished in time"
    OfferExpired "OFFER_EXPIRED" "报价已过期" "The offer was not accepted in time"
    CancelledByBorrower "CANCELLED_BY_BORROWER" "申请人已取消" "Cancelled by the borrower"
}

impl std::str::FromStr for Reason {
    type Err = UnknownReason;
    fn from_str(code: &str) -> Result<Self, UnknownReason> {
        Self::ALL.iter().copied().find(|r| r.code() == code).ok_or(UnknownReason)
    }
}

/// The text is not a reason code.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a reason code")]
pub struct UnknownReason;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_reason_reads_back_from_its_code_and_speaks_both_languages() {
        for reason in Reason::ALL {
            assert_eq!(reason.code().parse(), Ok(*reason));
            assert!(!reason.zh().is_ascii(), "{reason:?}");
            assert!(reason.en().is_ascii(), "{reason:?}");
        }
    }
}

//! Who calls: the key that has signed a request, and the account and region that it is in.

use hyper::http::request::Parts;
use rheos_kinesis::error::Error;
use rheos_kinesis::operations::subject;
use rheos_kinesis::signature::{BodyDigest, Claim};
use rheos_protocol::name::AccountId;

use crate::broker::Broker;
use crate::clock;
use crate::dispatch::Authenticated;
use crate::identity::Principal;

/// Whoever has signed a request.
pub(super) struct Caller {
    pub(super) principal: Authenticated<Principal>,
    /// Where it is: its key's account, and the region that it has signed for.
    pub(super) place: subject::Caller,
}

impl Caller {
    /// The caller of this request.
    ///
    /// # Errors
    /// Those of a signature that is missing, incomplete, of no known key, or not the key's.
    pub(super) fn of(broker: &Broker, head: &Parts, body: &[u8]) -> Result<Caller, Error> {
        let claim = Claim::read(head)?;
        let digest = BodyDigest::of([body]);
        let now_s = clock::now().wall_ms / 1_000;
        let (principal, region) = Authenticated::signed(&broker.identity, &claim, &digest, now_s, broker.dev)?;
        // Where any credential will do, one that looks like an account is one.
        let dev_account = || AccountId::new(claim.key_id()).ok().filter(|_| broker.dev);
        let account = principal.principal().account.clone().or_else(dev_account);
        let account = account.unwrap_or_else(|| broker.kinesis.account.clone());
        let region = region.unwrap_or_else(|| broker.kinesis.region.clone());
        Ok(Caller { principal, place: subject::Caller { account, region } })
    }
}

//! Who may do what: the one place that says yes or no.
//!
//! What must hold: a decision is made on a resource as it was resolved, so an incarnation counts as the
//! stream that it is a life of; what is not there and what may not be seen are answered alike, unless the
//! principal may see everything anyway; a key of another account than the broker's reaches the streams of that
//! account and nothing else.

use std::sync::Arc;

use rheos_core::catalog::StreamRecord;
use rheos_kinesis::signature::{BodyDigest, Claim};
use rheos_protocol::error::{ErrorCode, WireError};
use rheos_protocol::message::{Access, Hello, KeyPolicy};
use rheos_protocol::name::{AccountId, Region, StreamName};

use crate::identity::{BrokerIdentity, Principal};
use crate::streams::Streams;

/// Proof that a peer is who it says. Made here alone, by a Hello that holds.
#[derive(Debug)]
pub(crate) struct Authenticated<T>(T);

impl Authenticated<Principal> {
    /// The principal whose Hello this is, when its proof holds for this connection.
    pub(crate) fn hello(identity: &BrokerIdentity, hello: &Hello, exporter: &[u8; 32], dev: bool) -> Option<Self> {
        let proved = identity.verify_hello(&hello.key_id, &hello.proof, exporter);
        proved.map(Authenticated).or_else(|| dev.then(|| Authenticated::anybody(&hello.key_id)))
    }

    /// The principal whose key has signed a request of the Kinesis face, and the region that it was signed for, where
    /// that is spelled as one. In development mode any signature will do, and a key that there is keeps its policy.
    ///
    /// # Errors
    /// AWS's, for a signature that does not hold.
    pub(crate) fn signed(
        identity: &BrokerIdentity,
        claim: &Claim<'_>,
        body: &BodyDigest,
        now_s: u64,
        dev: bool,
    ) -> Result<(Self, Option<Region>), rheos_kinesis::error::Error> {
        let mut principal = None;
        let proved = claim.verify(body, now_s, |id| {
            let (secret, of_key) = identity.signing_key(id)?;
            principal = Some(of_key);
            Some(secret)
        });
        match (proved, principal) {
            (Ok(signed), Some(principal)) => Ok((Authenticated(principal), Some(signed.region))),
            (Err(_), _) if dev => Ok((Authenticated::anybody(claim.key_id()), claim.region())),
            (Err(error), _) => Err(error),
            (Ok(_), None) => unreachable!("a signature is proved with a key's secret"),
        }
    }

    /// Whoever says to be somebody, where that is enough.
    fn anybody(key_id: &str) -> Self {
        let policy = KeyPolicy::everywhere(Access::Admin);
        Authenticated(Principal { key_id: key_id.to_owned(), name: "dev".to_owned(), policy, account: None })
    }

    /// Whoever a test says.
    #[cfg(test)]
    pub(super) fn assumed(principal: Principal) -> Self {
        Authenticated(principal)
    }

    /// Who it is.
    pub(crate) fn principal(&self) -> &Principal {
        &self.0
    }
}

/// What a principal may be allowed to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Action {
    Ping,
    CreateStream,
    DescribeStream,
    ListStreams,
    DeleteStream,
    PutRecords,
    GetRecords,
    RegisterConsumer,
    DescribeConsumer,
    ListConsumers,
    DeregisterConsumer,
    Subscribe,
    CreateKey,
    ListKeys,
    RevokeKey,
    ReshardStream,
    ReadMetrics,
    UpdateStream,
    TagStream,
    TagConsumer,
    ListTags,
    Reserve,
    MonitorShards,
    ReadResourcePolicy,
    ChangeResourcePolicy,
    DescribeAccount,
    UpdateAccount,
}

/// What an action needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Need {
    /// A key, whatever it may do.
    AnyKey,
    /// So much access to the stream.
    WithStream(Access),
    /// So much access to every stream.
    Everywhere(Access),
}

impl Action {
    /// The action in words, as they stand before its object, and what it needs.
    fn row(self) -> (&'static str, Need) {
        use Access::{Admin, ReadOnly, ReadWrite};
        use Need::{AnyKey, Everywhere, WithStream};
        match self {
            Action::Ping => ("ping", AnyKey),
            Action::CreateStream => ("create", Everywhere(Admin)),
            Action::DescribeStream => ("describe", WithStream(ReadOnly)),
            Action::ListStreams => ("list streams", AnyKey),
            Action::DeleteStream => ("delete", Everywhere(Admin)),
            Action::PutRecords => ("put records into", WithStream(ReadWrite)),
            Action::GetRecords => ("read records from", WithStream(ReadOnly)),
            Action::RegisterConsumer => ("register a consumer of", WithStream(ReadWrite)),
            Action::DescribeConsumer => ("describe a consumer of", WithStream(ReadOnly)),
            Action::ListConsumers => ("list the consumers of", WithStream(ReadOnly)),
            Action::DeregisterConsumer => ("deregister a consumer of", WithStream(ReadWrite)),
            Action::Subscribe => ("subscribe to", WithStream(ReadOnly)),
            Action::CreateKey => ("create access keys", Everywhere(Admin)),
            Action::ListKeys => ("list access keys", Everywhere(Admin)),
            Action::RevokeKey => ("revoke access keys", Everywhere(Admin)),
            Action::ReshardStream => ("reshard", Everywhere(Admin)),
            // They name every stream and consumer.
            Action::ReadMetrics => ("read the metrics", Everywhere(Admin)),
            Action::UpdateStream => ("change the settings of", Everywhere(Admin)),
            Action::TagStream => ("tag", Everywhere(Admin)),
            Action::TagConsumer => ("tag a consumer of", WithStream(ReadWrite)),
            Action::ListTags => ("list the tags of", WithStream(ReadOnly)),
            // Every stream has to share what is left of a lane.
            Action::Reserve => ("reserve bandwidth for a consumer of", Everywhere(Admin)),
            Action::MonitorShards => ("change the shard metrics of", Everywhere(Admin)),
            Action::ReadResourcePolicy => ("read a resource policy of", WithStream(ReadOnly)),
            Action::ChangeResourcePolicy => ("change a resource policy of", Everywhere(Admin)),
            // It counts every stream.
            Action::DescribeAccount => ("describe account", Everywhere(ReadOnly)),
            Action::UpdateAccount => ("change the settings of account", Everywhere(Admin)),
        }
    }
}

/// On what, resolved: cannot be made of an incarnation without looking whose it is.
#[derive(Debug, Clone)]
pub(crate) struct Resource(Resolved);

#[derive(Debug, Clone)]
enum Resolved {
    /// The broker itself.
    Broker,
    /// An account: what it has in all, and its settings.
    Account(AccountId),
    /// A stream by its name, which need not exist.
    Stream(StreamName),
    /// A life of a stream, and which; none when there is no such life.
    Life(u64, Option<Arc<StreamRecord>>),
}

impl Resource {
    /// The broker itself.
    pub(crate) fn broker() -> Resource {
        Resource(Resolved::Broker)
    }

    /// What an account has in all, and its settings.
    pub(crate) fn account_of(account: &AccountId) -> Resource {
        Resource(Resolved::Account(account.clone()))
    }

    /// The stream of this name, which need not exist.
    ///
    /// # Errors
    /// `BadRequest` when it is no name.
    pub(crate) fn stream(name: &str) -> Result<Resource, WireError> {
        Ok(Resource(Resolved::Stream(super::stream_name(name)?)))
    }

    /// The stream of this name, which need not exist.
    pub(crate) fn of(name: &StreamName) -> Resource {
        Resource(Resolved::Stream(name.clone()))
    }

    /// The account that it belongs to; `None` for what is the broker's own.
    fn account(&self) -> Option<AccountId> {
        let name = match &self.0 {
            Resolved::Account(account) => return Some(account.clone()),
            Resolved::Stream(name) => name,
            Resolved::Life(_, Some(stream)) => &stream.name,
            Resolved::Broker | Resolved::Life(_, None) => return None,
        };
        name.account_and_region().map(|(account, _)| account)
    }

    /// The stream of which this is a life.
    pub(crate) fn incarnation(streams: &Streams, incarnation: u64) -> Resource {
        Resource(Resolved::Life(incarnation, streams.by_incarnation(incarnation)))
    }
}

/// Whether the principal may.
///
/// # Errors
/// `Denied`, which says which grant is missing. `StreamNotFound` for a life that there is not, to who may see
/// every stream.
pub(crate) fn authorise(
    principal: &Authenticated<Principal>,
    action: Action,
    resource: &Resource,
) -> Result<(), WireError> {
    let (words, need) = action.row();
    let Principal { key_id, name, policy, account } = &principal.0;
    let nothing = KeyPolicy::default();
    let is_elsewhere = account.as_ref().is_some_and(|account| resource.account().as_ref() != Some(account));
    let policy = if is_elsewhere { &nothing } else { policy };
    let with_resource = match &resource.0 {
        Resolved::Broker | Resolved::Account(_) => policy.everywhere,
        Resolved::Stream(stream) => policy.with_stream(stream.as_str()),
        Resolved::Life(_, Some(stream)) => policy.with_stream(stream.name.as_str()),
        Resolved::Life(incarnation, None) if policy.everywhere >= Access::ReadOnly => {
            let message = format!("no stream has incarnation {incarnation:x}; it may have been deleted");
            return Err(WireError::new(ErrorCode::StreamNotFound, message));
        }
        Resolved::Life(_, None) => policy.everywhere,
    };
    let (needed, has, every) = match need {
        Need::AnyKey => return Ok(()),
        Need::WithStream(access) => (access, with_resource, false),
        Need::Everywhere(access) => (access, policy.everywhere, true),
    };
    if has >= needed {
        return Ok(());
    }
    let object = match &resource.0 {
        Resolved::Broker => String::new(),
        Resolved::Account(account) => format!(" {account}"),
        Resolved::Stream(stream) => format!(" stream {stream}"),
        // Who may not see a stream does not learn from its incarnation what it is called, or that there is one.
        Resolved::Life(_, Some(stream)) if has > Access::None => format!(" stream {}", stream.name),
        Resolved::Life(incarnation, _) => format!(" the stream of incarnation {incarnation:x}"),
    };
    let may_not = format!("access key {name} ({key_id}) may not {words}{object}");
    let message = match account {
        Some(account) if is_elsewhere => format!("{may_not}: it reaches nothing but the streams of account {account}"),
        _ => {
            let place = if every { "every stream" } else { "that stream" };
            format!("{may_not}: it needs a grant of {needed} for {place} and has {has}")
        }
    };
    Err(WireError::new(ErrorCode::Denied, message))
}

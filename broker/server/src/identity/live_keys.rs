//! The access keys that open this broker now: the administrator's and those that were made.
//!
//! What must hold: an id that nobody has costs the same time as a wrong proof; a key that is revoked here
//! proves nothing from then on; what one lane is told every lane knows. Which keys there are is the
//! catalog's to say, and what they may do is decided elsewhere.

use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard};

use rheos_core::catalog::KeyRecord;
use rheos_kinesis::signature::SigningSecret;
use rheos_protocol::message::{Access, KeyDescription, KeyPolicy};

use super::ADMIN_NAME;
use super::access_key::{AccessKey, Credential, Principal};
use crate::start_error::StartError;

/// All live keys.
pub(super) struct LiveKeys {
    admin: Credential,
    /// By their ids.
    made: RwLock<BTreeMap<String, Arc<MadeKey>>>,
    /// Stands in for the key of an id that nobody has.
    nobody: Credential,
}

struct MadeKey {
    credential: Credential,
    description: KeyDescription,
}

impl LiveKeys {
    pub(super) fn new(admin: &AccessKey) -> Result<LiveKeys, StartError> {
        let nobody = AccessKey::generate()?;
        let credential = |key: &AccessKey, name: &str, access| {
            let policy = KeyPolicy::everywhere(access);
            let principal = Principal { key_id: key.id.clone(), name: name.to_owned(), policy, account: None };
            Credential::new(&key.secret, principal)
        };
        Ok(LiveKeys {
            admin: credential(admin, ADMIN_NAME, Access::Admin),
            made: RwLock::default(),
            nobody: credential(&nobody, "nobody", Access::None),
        })
    }

    pub(super) fn add(&self, record: &KeyRecord) {
        let description = record.describe();
        let principal = Principal {
            key_id: record.id.clone(),
            name: record.name.as_str().to_owned(),
            policy: record.policy.clone(),
            account: record.account.clone(),
        };
        let key = MadeKey { credential: Credential::new(&record.secret, principal), description };
        self.made.write().unwrap_or_else(PoisonError::into_inner).insert(record.id.clone(), Arc::new(key));
    }

    pub(super) fn revoke(&self, id: &str) {
        self.made.write().unwrap_or_else(PoisonError::into_inner).remove(id);
    }

    pub(super) fn is_live(&self, id: &str) -> bool {
        id == self.admin.principal().key_id || self.made().contains_key(id)
    }

    pub(super) fn made_id(&self, id_or_name: &str) -> Option<String> {
        let is_meant =
            |key: &&Arc<MadeKey>| [&key.description.id, &key.description.name].iter().any(|it| **it == id_or_name);
        self.made().values().find(is_meant).map(|key| key.description.id.clone())
    }

    /// Who proves, with a MAC of these bytes, to have the secret of the key with this id.
    pub(super) fn verify(&self, id: &str, mac: &[u8; 32], bytes: &[u8; 32]) -> Option<Principal> {
        self.with_credential(id, |known| {
            let proved = known.unwrap_or(&self.nobody).proves(mac, bytes);
            known.filter(|_| proved).map(|credential| credential.principal().clone())
        })
    }

    /// With what signatures by the key of this id are checked, and who has then made them.
    pub(super) fn signing_key(&self, id: &str) -> Option<(SigningSecret, Principal)> {
        self.with_credential(id, |known| known.map(|it| (it.signing().clone(), it.principal().clone())))
    }

    /// What `look` sees in the credential of the key of this id. The lock is not held over it.
    fn with_credential<T>(&self, id: &str, look: impl FnOnce(Option<&Credential>) -> T) -> T {
        let made = self.made().get(id).cloned();
        look(match &made {
            Some(key) => Some(&key.credential),
            None => Some(&self.admin).filter(|admin| admin.principal().key_id == id),
        })
    }

    /// Up to `limit` made keys whose ids sort after `after`, and whether more follow.
    pub(super) fn page(&self, after: &str, limit: usize) -> (Vec<KeyDescription>, bool) {
        let made = self.made();
        let mut following = made.range::<str, _>((Bound::Excluded(after), Bound::Unbounded));
        let page = following.by_ref().take(limit).map(|(_, key)| key.description.clone()).collect();
        (page, following.next().is_some())
    }

    fn made(&self) -> RwLockReadGuard<'_, BTreeMap<String, Arc<MadeKey>>> {
        self.made.read().unwrap_or_else(PoisonError::into_inner)
    }
}

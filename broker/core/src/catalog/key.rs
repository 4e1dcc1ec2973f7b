//! An access key: its record, and why one is refused.
//!
//! ```text
//!   0  4  magic "RHK1"
//!   4  4  version = 1
//!   8  8  created, ms since 1970
//!  16  2  length of the id
//!  18  .  id
//!      2  length of the secret
//!      .  secret
//!      2  length of the name
//!      .  name
//!      .  policy: u8 access everywhere | u32 count | count x ( u16 length, stream name, u8 access )
//!      2  length of the account, where there is one; a key of the broker's own ends before it
//!      .  account
//!      8  checksum: xxh3-64 of everything before
//! ```
//!
//! Little-endian. What must hold: nobody is granted more than read-write by a stream's name, each grant
//! gives something, each stream is named once, and its name is proved; the secret is in no `Debug` text
//! and in no refusal.

use std::collections::BTreeSet;
use std::fmt;

use bytes::BufMut;
use rheos_protocol::error::{ErrorCode, WireError};
use rheos_protocol::limits::{ACCOUNT_CHARS, GRANTS_MAX, KEYS_MAX, NAME_CHARS_MAX, STREAM_NAME_CHARS_MAX};
use rheos_protocol::message::{Access, CreateKey, KeyDescription, KeyPolicy};
use rheos_protocol::name::{AccountId, KeyName, StreamName};
use rheos_protocol::wire::{FieldReader, FieldWriter};

use super::envelope::{BadRecord, ended, seal, unseal};

const MAGIC: [u8; 4] = *b"RHK1";
const VERSION: u32 = 1;

/// An access key with its secret, as the catalog keeps it.
#[derive(Clone, PartialEq, Eq)]
pub struct KeyRecord {
    /// Its id, which may be seen; 1 to 128 bytes.
    pub id: String,
    /// Its secret; 1 to 128 bytes.
    pub secret: String,
    /// What it was made for; no two keys have one name.
    pub name: KeyName,
    /// Creation in ms since 1970.
    pub created_ms: u64,
    /// What it may do. Never changes during the key's life.
    pub policy: KeyPolicy,
    /// The account that it belongs to; the broker's own where there is none.
    pub account: Option<AccountId>,
}

impl fmt::Debug for KeyRecord {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = f.debug_struct("KeyRecord");
        shown.field("id", &self.id).field("name", &self.name).field("created_ms", &self.created_ms);
        shown.field("policy", &self.policy).field("account", &self.account).finish_non_exhaustive()
    }
}

impl KeyRecord {
    /// The record as the catalog stores it.
    ///
    /// # Panics
    ///
    /// When somebody has changed the record into one that cannot be.
    pub fn encode(&self) -> Vec<u8> {
        if let Err(why) = self.prove() {
            panic!("access key {} was changed: {why}", self.name);
        }
        seal(MAGIC, VERSION, 256, |out| {
            out.put_u64_le(self.created_ms);
            FieldWriter::text(out, &self.id);
            FieldWriter::text(out, &self.secret);
            FieldWriter::text(out, self.name.as_str());
            self.policy.encode(out);
            if let Some(account) = &self.account {
                FieldWriter::text(out, account.as_str());
            }
        })
    }

    /// Reads a record and proves it.
    ///
    /// # Errors
    ///
    /// [`BadRecord`] says why the bytes cannot be believed.
    pub fn decode(bytes: &[u8]) -> Result<KeyRecord, BadRecord> {
        let mut fields = unseal(MAGIC, VERSION, bytes)?;
        let created_ms = fields.u64()?;
        let (id, secret) = (fields.text(NAME_CHARS_MAX)?.to_owned(), fields.text(NAME_CHARS_MAX)?.to_owned());
        let name =
            KeyName::new(fields.text(NAME_CHARS_MAX)?).map_err(|_| BadRecord::Impossible("its name is no key name"))?;
        let policy = KeyPolicy::decode(&mut fields)?;
        let account = decode_account(&mut fields)?;
        ended(&fields)?;
        let record = KeyRecord { id, secret, name, created_ms, policy, account };
        record.prove().map_err(BadRecord::Impossible)?;
        Ok(record)
    }

    /// The key as it is listed: without its secret.
    pub fn describe(&self) -> KeyDescription {
        KeyDescription {
            id: self.id.clone(),
            name: self.name.as_str().to_owned(),
            created_ms: self.created_ms,
            policy: self.policy.clone(),
            account: self.account.as_ref().map(|account| account.as_str().to_owned()),
        }
    }

    fn prove(&self) -> Result<(), &'static str> {
        let fits = |text: &str| (1..=NAME_CHARS_MAX).contains(&text.len());
        if !fits(&self.id) || !fits(&self.secret) {
            return Err("its id or its secret is missing or too long");
        }
        look_at_grants(&self.policy).map_err(|wrong| wrong.why)
    }
}

fn decode_account(fields: &mut FieldReader<'_>) -> Result<Option<AccountId>, BadRecord> {
    if fields.rest().is_empty() {
        return Ok(None);
    }
    let account = AccountId::new(fields.text(ACCOUNT_CHARS)?);
    account.map(Some).map_err(|_| BadRecord::Impossible("its account is none"))
}

/// Plans the key that is asked for, under an id and a secret that were just drawn.
///
/// # Errors
///
/// `BadRequest`, which names the field.
///
/// # Panics
///
/// When id or secret cannot be those of a key.
pub fn plan_key(create: &CreateKey, id: &str, secret: &str, now_ms: u64) -> Result<KeyRecord, WireError> {
    let bad = |message: String| WireError::new(ErrorCode::BadRequest, message);
    let name = KeyName::new(&create.name).map_err(|error| bad(format!("name: {error}")))?;
    if let Err(Wrong { stream, why }) = look_at_grants(&create.policy) {
        let of = stream.map_or(String::new(), |stream| format!(" of stream {:?}", cut(stream)));
        return Err(bad(format!("policy.streams: the grant{of} cannot be: {why}")));
    }
    let account = create.account.as_deref().map(AccountId::new).transpose();
    let account = account.map_err(|error| bad(format!("account: {error}")))?;
    let (id, secret, policy) = (id.to_owned(), secret.to_owned(), create.policy.clone());
    let record = KeyRecord { id, secret, name, created_ms: now_ms, policy, account };
    assert_eq!(record.prove(), Ok(()), "ids and secrets are drawn by the broker itself");
    Ok(record)
}

/// Refuses one key more than a broker may have.
///
/// # Errors
///
/// `LimitExceeded`, which names the limit.
pub fn admit_key(keys_now: u64) -> Result<(), WireError> {
    let most = u64::from(KEYS_MAX);
    if keys_now < most {
        return Ok(());
    }
    let message = format!(
        "a broker has at most {most} access keys, this one has {keys_now}; revoke some that are no longer used"
    );
    Err(WireError::new(ErrorCode::LimitExceeded, message).with_detail(most, keys_now))
}

/// The refusal of a second key of one name, or of a name that is the id of another.
pub fn key_exists(name: &KeyName) -> WireError {
    let message = format!("an access key of the name or id {name} exists; revoke it first or choose another name");
    WireError::new(ErrorCode::KeyExists, message)
}

/// The refusal of a request about a key that is not there.
pub fn key_not_found(id_or_name: &str) -> WireError {
    let message = format!("there is no access key with the id or name {:?}", cut(id_or_name));
    WireError::new(ErrorCode::KeyNotFound, message)
}

/// What is wrong with a policy, and with which of its grants.
struct Wrong<'a> {
    stream: Option<&'a str>,
    why: &'static str,
}

fn look_at_grants(policy: &KeyPolicy) -> Result<(), Wrong<'_>> {
    if policy.streams.len() > GRANTS_MAX as usize {
        return Err(Wrong { stream: None, why: "a key is granted at most 100 streams by name" });
    }
    let mut named = BTreeSet::new();
    for (stream, access) in &policy.streams {
        let why = match access {
            _ if StreamName::new(stream).is_err() => {
                "it is no stream name: use 1 to 128 of a-z A-Z 0-9 _ . -, or ACCOUNT/REGION/NAME"
            }
            _ if !named.insert(stream.as_str()) => "the stream is named twice",
            Access::Admin => "admin is granted everywhere or not at all; by name at most read-write",
            Access::None => "none takes nothing away; leave it out",
            Access::ReadOnly | Access::ReadWrite => continue,
        };
        return Err(Wrong { stream: Some(stream), why });
    }
    Ok(())
}

/// As much of a peer's text as a message repeats.
fn cut(text: &str) -> &str {
    &text[..text.floor_char_boundary(STREAM_NAME_CHARS_MAX)]
}

const _: () = assert!(GRANTS_MAX == 100, "a message says so");

#[cfg(test)]
mod tests {
    use super::*;

    const SECRET: &str = "aVerySecretSecret";

    fn create(streams: &[(&str, Access)]) -> CreateKey {
        let streams = streams.iter().map(|(stream, access)| ((*stream).to_owned(), *access)).collect();
        CreateKey {
            name: "ingest".to_owned(),
            policy: KeyPolicy { everywhere: Access::ReadOnly, streams },
            account: None,
        }
    }

    fn record() -> KeyRecord {
        let create = create(&[("orders", Access::ReadWrite), ("audit", Access::ReadOnly)]);
        plan_key(&create, "RKABC", SECRET, 1_700_000_000_123).expect("it is in order")
    }

    #[test]
    fn a_record_reads_back_and_no_damage_goes_unseen() {
        let good = record().encode();
        assert_eq!(KeyRecord::decode(&good), Ok(record()));
        for bit in 0..good.len() * 8 {
            let mut bytes = good.clone();
            bytes[bit / 8] ^= 1 << (bit % 8);
            assert!(KeyRecord::decode(&bytes).is_err(), "bit {bit}");
        }
        for length in 0..good.len() {
            assert!(KeyRecord::decode(&good[..length]).is_err(), "{length} bytes");
        }
    }

    #[test]
    fn a_secret_is_never_shown() {
        assert!(!format!("{:?}", record()).contains(SECRET));
        assert!(!format!("{:?}", record().describe()).contains(SECRET));
    }

    #[test]
    fn what_cannot_be_is_refused_and_named() {
        let many: Vec<String> = (0..=GRANTS_MAX).map(|number| format!("stream-{number}")).collect();
        let many: Vec<_> = many.iter().map(|stream| (stream.as_str(), Access::ReadOnly)).collect();
        plan_key(&create(&many[1..]), "i", "s", 1).expect("so many are allowed");
        let long = "n".repeat(200);
        for (streams, word) in [
            (&[("orders", Access::Admin)][..], "\"orders\""),
            (&[("orders", Access::None)], "leave it out"),
            (&[("a b", Access::ReadOnly)], "\"a b\""),
            (&[("", Access::ReadOnly)], "no stream name"),
            (&[(&long, Access::ReadOnly)], "no stream name"),
            (&[("a", Access::ReadOnly), ("a", Access::ReadWrite)], "twice"),
            (&many, "at most 100"),
        ] {
            let error = plan_key(&create(streams), "i", SECRET, 1).expect_err(word);
            assert_eq!(error.code, ErrorCode::BadRequest);
            assert!(error.message.starts_with("policy.streams: ") && error.message.contains(word), "{error}");
            assert!(error.message.len() < 512 && !error.message.contains(SECRET), "{error}");
        }
        let unnamed = CreateKey { name: "a b".to_owned(), ..CreateKey::default() };
        let error = plan_key(&unnamed, "i", "s", 1).expect_err("it has no name");
        assert!(error.code == ErrorCode::BadRequest && error.message.starts_with("name: "), "{error}");
    }

    #[test]
    fn a_key_belongs_to_an_account_or_to_the_brokers_own() {
        let of = |account: &str| CreateKey { account: Some(account.to_owned()), ..create(&[]) };
        let theirs = plan_key(&of("123456789012"), "i", SECRET, 1).expect("it is in order");
        assert_eq!(theirs.account, AccountId::new("123456789012").ok());
        assert_eq!(theirs.describe().account.as_deref(), Some("123456789012"));
        assert_eq!(KeyRecord::decode(&theirs.encode()), Ok(theirs.clone()));
        let own = plan_key(&create(&[]), "i", SECRET, 1).expect("it is in order");
        assert_eq!((&own.account, own.describe().account.as_deref()), (&None, None));
        assert_eq!(own.encode().len() + 14, theirs.encode().len(), "a record from before there were accounts is one");
        for bad in ["", "1234", "12345678901x"] {
            let error = plan_key(&of(bad), "i", SECRET, 1).expect_err("it is no account");
            assert!(error.code == ErrorCode::BadRequest && error.message.starts_with("account: "), "{error}");
        }
    }

    #[test]
    fn a_stream_of_another_account_is_granted_by_its_whole_name() {
        let name = "123456789012/eu-west-1/orders";
        let record = plan_key(&create(&[(name, Access::ReadWrite)]), "i", SECRET, 1).expect("it is in order");
        assert_eq!(KeyRecord::decode(&record.encode()), Ok(record.clone()));
        assert_eq!(record.policy.with_stream(name), Access::ReadWrite);
        assert_eq!(record.policy.with_stream("orders"), Access::ReadOnly);
    }

    #[test]
    fn a_key_of_nothing_is_a_key() {
        let nothing = CreateKey { name: "nobody".to_owned(), ..CreateKey::default() };
        let record = plan_key(&nothing, "i", "s", 1).expect("it is in order");
        assert_eq!(KeyRecord::decode(&record.encode()), Ok(record));
    }

    #[test]
    fn what_is_whole_and_cannot_be_is_not_believed() {
        type Break = fn(&mut KeyRecord);
        let breaks: &[(Break, &str)] = &[
            (|record| record.policy.streams[0].1 = Access::Admin, "admin"),
            (|record| record.policy.streams[1].0 = "orders".to_owned(), "twice"),
            (|record| record.id.clear(), "id"),
            (|record| record.secret.clear(), "secret"),
            (|_| {}, "account"),
        ];
        for (break_it, word) in breaks {
            let mut broken = record();
            break_it(&mut broken);
            let bytes = seal(MAGIC, VERSION, 0, |out| {
                out.put_u64_le(broken.created_ms);
                FieldWriter::text(out, &broken.id);
                FieldWriter::text(out, &broken.secret);
                FieldWriter::text(out, broken.name.as_str());
                broken.policy.encode(out);
                FieldWriter::text(out, if *word == "account" { "12345678901x" } else { "123456789012" });
            });
            let error = KeyRecord::decode(&bytes).expect_err(word).to_string();
            assert!(error.contains(word) && !error.contains(SECRET), "{error}");
        }
    }

    #[test]
    #[should_panic(expected = "access key ingest was changed")]
    fn a_record_that_somebody_has_changed_is_never_written() {
        let mut record = record();
        record.policy.streams[0].1 = Access::Admin;
        record.encode();
    }

    #[test]
    fn a_broker_has_its_limit() {
        let most = u64::from(KEYS_MAX);
        admit_key(most - 1).expect("there is room for one");
        let error = admit_key(most).expect_err("there is none");
        assert_eq!((error.code, error.detail), (ErrorCode::LimitExceeded, most));
        assert!(key_not_found(&"x".repeat(5_000)).message.len() < 256);
    }
}

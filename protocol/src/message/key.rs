//! Access keys and what they are allowed.

use bytes::{BufMut, BytesMut};

use crate::limits::{ACCOUNT_CHARS, GRANTS_MAX, NAME_CHARS_MAX, STREAM_NAME_CHARS_MAX, TEXT_BYTES_MAX};
use crate::wire::{FieldReader, FieldWriter, Malformed};

/// How much a key may do. Each includes the ones before it.
///
/// ```text
///   u8 (0 none, 1 read-only, 2 read-write, 3 admin)
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub enum Access {
    /// Nothing.
    #[default]
    None,
    /// Describe and list, read and subscribe.
    ReadOnly,
    /// Put, and register and deregister consumers.
    ReadWrite,
    /// Everything: streams are made and deleted, keys made and revoked.
    Admin,
}

/// What a key may do with which stream.
///
/// ```text
///   access everywhere | u32 count | count x ( text stream, access )
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct KeyPolicy {
    /// With every stream, those included that are made later.
    pub everywhere: Access,
    /// With streams of these names besides; not more than read-write.
    pub streams: Vec<(String, Access)>,
}

/// A request for a new key.
///
/// ```text
///   text name | policy | text account, which may be left out or empty
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct CreateKey {
    /// What it is for; no two keys have one name.
    pub name: String,
    /// What it may do.
    pub policy: KeyPolicy,
    /// The account that it belongs to, not yet proved; the broker's own where there is none. The Kinesis face goes by
    /// it: what is made with the key there is of its account.
    pub account: Option<String>,
}

/// A key as it is listed: without its secret.
///
/// ```text
///   text id | text name | u64 created ms | policy | text account, which may be left out or empty
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyDescription {
    /// Its id.
    pub id: String,
    /// What it is for.
    pub name: String,
    /// Creation, ms since 1970.
    pub created_ms: u64,
    /// What it may do.
    pub policy: KeyPolicy,
    /// The account that it belongs to; the broker's own where there is none.
    pub account: Option<String>,
}

/// A key that was just made; its secret is told this once.
///
/// ```text
///   text id | text secret
/// ```
#[derive(Clone, PartialEq, Eq)]
pub struct NewKey {
    /// Its id.
    pub id: String,
    /// Its secret.
    pub secret: String,
}

impl std::fmt::Display for Access {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Access::None => "none",
            Access::ReadOnly => "read-only",
            Access::ReadWrite => "read-write",
            Access::Admin => "admin",
        })
    }
}

impl std::fmt::Debug for NewKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("NewKey").field("id", &self.id).finish_non_exhaustive()
    }
}

impl Access {
    /// The access of a number.
    pub fn from_number(number: u8) -> Option<Access> {
        [Access::None, Access::ReadOnly, Access::ReadWrite, Access::Admin].get(usize::from(number)).copied()
    }

    /// The number that travels.
    pub fn number(self) -> u8 {
        self as u8
    }

    fn decode(fields: &mut FieldReader<'_>) -> Result<Access, Malformed> {
        Access::from_number(fields.u8()?).ok_or(fields.wrong("its access is unknown"))
    }
}

impl KeyPolicy {
    /// The same access to every stream.
    pub fn everywhere(access: Access) -> KeyPolicy {
        KeyPolicy { everywhere: access, streams: Vec::new() }
    }

    /// How much is allowed with the stream of this name.
    pub fn with_stream(&self, name: &str) -> Access {
        let granted = self.streams.iter().filter(|(stream, _)| stream == name).map(|(_, access)| *access);
        granted.fold(self.everywhere, Access::max)
    }

    /// Appends the policy.
    pub fn encode(&self, out: &mut impl FieldWriter) {
        out.put_u8(self.everywhere.number());
        out.put_u32_le(self.streams.len() as u32);
        for (stream, access) in &self.streams {
            out.text(stream);
            out.put_u8(access.number());
        }
    }

    /// Reads a policy. Names are not proved, and neither is that nobody is granted more than read-write.
    pub fn decode(fields: &mut FieldReader<'_>) -> Result<KeyPolicy, Malformed> {
        let everywhere = Access::decode(fields)?;
        let count = fields.count(GRANTS_MAX, 3)?;
        let grant = |_| Ok((fields.text(STREAM_NAME_CHARS_MAX)?.to_owned(), Access::decode(fields)?));
        Ok(KeyPolicy { everywhere, streams: (0..count).map(grant).collect::<Result<_, Malformed>>()? })
    }
}

impl CreateKey {
    pub(super) fn encode(&self, out: &mut BytesMut) {
        FieldWriter::text(out, &self.name);
        self.policy.encode(out);
        encode_account(self.account.as_deref(), out);
    }

    pub(super) fn decode(fields: &mut FieldReader<'_>) -> Result<CreateKey, Malformed> {
        Ok(CreateKey {
            name: fields.text(NAME_CHARS_MAX)?.to_owned(),
            policy: KeyPolicy::decode(fields)?,
            account: decode_account(fields)?,
        })
    }
}

impl KeyDescription {
    pub(super) fn encode(&self, out: &mut BytesMut) {
        FieldWriter::text(out, &self.id);
        FieldWriter::text(out, &self.name);
        out.put_u64_le(self.created_ms);
        self.policy.encode(out);
        encode_account(self.account.as_deref(), out);
    }

    pub(super) fn decode(fields: &mut FieldReader<'_>) -> Result<KeyDescription, Malformed> {
        Ok(KeyDescription {
            id: fields.text(TEXT_BYTES_MAX)?.to_owned(),
            name: fields.text(NAME_CHARS_MAX)?.to_owned(),
            created_ms: fields.u64()?,
            policy: KeyPolicy::decode(fields)?,
            account: decode_account(fields)?,
        })
    }
}

/// A peer from before there were accounts sends none, and skips one.
fn encode_account(account: Option<&str>, out: &mut BytesMut) {
    if let Some(account) = account {
        FieldWriter::text(out, account);
    }
}

fn decode_account(fields: &mut FieldReader<'_>) -> Result<Option<String>, Malformed> {
    if fields.rest().is_empty() {
        return Ok(None);
    }
    let account = fields.text(ACCOUNT_CHARS)?;
    Ok((!account.is_empty()).then(|| account.to_owned()))
}

impl NewKey {
    pub(super) fn encode(&self, out: &mut BytesMut) {
        FieldWriter::text(out, &self.id);
        FieldWriter::text(out, &self.secret);
    }

    pub(super) fn decode(fields: &mut FieldReader<'_>) -> Result<NewKey, Malformed> {
        let mut text = || Ok::<_, Malformed>(fields.text(TEXT_BYTES_MAX)?.to_owned());
        Ok(NewKey { id: text()?, secret: text()? })
    }
}

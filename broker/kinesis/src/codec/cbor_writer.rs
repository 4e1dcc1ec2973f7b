//! Values as CBOR: lengths definite, integers as short as they can be, timestamps tag 1 with integer
//! milliseconds, which is not RFC 8949's second but what AWS and its SDKs write.

use minicbor::data::Tag;
use minicbor::encode::Encoder;

use crate::value::{Structure, Value};

/// Appends a structure.
pub(super) fn write_structure(out: &mut Vec<u8>, structure: &Structure) {
    structure_into(&mut Encoder::new(out), structure).expect(INFALLIBLE);
}

/// Appends a map of texts.
pub(super) fn write_pairs(out: &mut Vec<u8>, pairs: &[(&str, &str)]) {
    let mut to = Encoder::new(out);
    to.map(pairs.len() as u64).expect(INFALLIBLE);
    for (name, text) in pairs {
        to.str(name).and_then(|to| to.str(text)).expect(INFALLIBLE);
    }
}

type To<'a> = Encoder<&'a mut Vec<u8>>;
type Written = Result<(), minicbor::encode::Error<std::convert::Infallible>>;

fn structure_into(to: &mut To<'_>, structure: &Structure) -> Written {
    to.map(structure.present().count() as u64)?;
    for (name, value) in structure.present() {
        to.str(name)?;
        value_into(to, value)?;
    }
    Ok(())
}

fn value_into(to: &mut To<'_>, value: &Value) -> Written {
    match value {
        Value::Boolean(it) => to.bool(*it).map(drop),
        Value::Integer(it) => to.i64(*it).map(drop),
        Value::Text(it) => to.str(it).map(drop),
        Value::Blob(it) => to.bytes(it).map(drop),
        Value::Timestamp(it) => to.tag(Tag::new(1))?.i64(*it).map(drop),
        Value::Null => to.null().map(drop),
        Value::Structure(it) => structure_into(to, it),
        Value::List(items) => {
            to.array(items.len() as u64)?;
            items.iter().try_for_each(|item| value_into(to, item))
        }
        Value::Map(entries) => {
            to.map(entries.len() as u64)?;
            entries.iter().try_for_each(|(name, value)| {
                to.str(name)?;
                value_into(to, value)
            })
        }
    }
}

const INFALLIBLE: &str = "a write to memory cannot fail";

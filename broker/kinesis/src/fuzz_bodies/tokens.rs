//! Iterators and page tokens.

use super::{NOW_MS, PRINCIPAL};
use crate::page_token::{ConsumersPage, Page, ShardsPage, StreamsPage, purpose};
use crate::shard_iterator::{PURPOSE, ShardIterator};
use crate::token::TokenKey;

/// An iterator as a stranger writes it; and its fields, under our own MAC.
pub fn iterator(data: &[u8]) {
    let key = TokenKey::new(&[7; 32]);
    assert!(ShardIterator::open(&String::from_utf8_lossy(data), &key, PRINCIPAL, NOW_MS).is_err());
    let Some(sealed) = seal(&key, PURPOSE, data) else { return };
    if let Ok(iterator) = ShardIterator::open(&sealed, &key, PRINCIPAL, NOW_MS) {
        let again = iterator.seal(&key, PRINCIPAL, NOW_MS, 0);
        assert_eq!(ShardIterator::open(&again, &key, PRINCIPAL, NOW_MS), Ok(iterator));
    }
}

/// A page token as a stranger writes it; and its fields, under our own MAC.
pub fn page_token(data: &[u8]) {
    page::<StreamsPage>(data);
    page::<ShardsPage>(data);
    page::<ConsumersPage>(data);
}

fn page<P: Page + PartialEq + std::fmt::Debug>(data: &[u8]) {
    let key = TokenKey::new(&[7; 32]);
    assert!(P::open(&String::from_utf8_lossy(data), &key, PRINCIPAL, NOW_MS).is_err());
    let Some(sealed) = seal(&key, &purpose(P::OPERATION), data) else { return };
    if let Ok(page) = P::open(&sealed, &key, PRINCIPAL, NOW_MS) {
        let again = page.seal(&key, PRINCIPAL, NOW_MS, 0);
        assert_eq!(P::open(&again, &key, PRINCIPAL, NOW_MS), Ok(page));
    }
}

/// The bytes as the body of a token; none where there are more than a token has.
fn seal(key: &TokenKey, purpose: &str, body: &[u8]) -> Option<String> {
    (body.len() < 300).then(|| key.seal(purpose, PRINCIPAL, body.to_vec()))
}

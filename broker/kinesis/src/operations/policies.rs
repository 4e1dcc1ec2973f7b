//! Resource policies: kept and given back as they came.
//!
//! What must hold: what is kept is a JSON object, byte for byte, as long as the core has it. What a policy
//! allows is not judged here.

use rheos_core::catalog::ResourcePolicy;

use crate::arn::ResourceArn;
use crate::error::Error;
use crate::shapes::operations::find;
use crate::value::Structure;

/// What a client gets where there is no policy: AWS was seen to answer so.
const NO_POLICY: &str = "{}";

/// The policy that a PutResourcePolicy brings.
///
/// # Errors
///
/// `InvalidArgumentException` for a text that is no policy. AWS's words were never recorded.
pub fn put(input: &Structure, resource: &ResourceArn) -> Result<ResourcePolicy, Error> {
    let refused = |why: &str| Error::invalid_argument(format!("The resource policy for {resource} cannot be: {why}"));
    let policy = ResourcePolicy::new(input.required::<&str>("Policy")).map_err(|error| refused(&error.message))?;
    match serde_json::from_str::<serde_json::Map<String, serde_json::Value>>(policy.as_str()) {
        Ok(_) => Ok(policy),
        Err(why) => Err(refused(&format!("it is no JSON object ({why})"))),
    }
}

/// The answer to GetResourcePolicy.
pub fn get(policy: Option<&ResourcePolicy>) -> Structure {
    find("GetResourcePolicy")
        .expect("it is in the table")
        .answer()
        .with("Policy", policy.map_or(NO_POLICY, ResourcePolicy::as_str))
}

/// Whether there is a policy that a DeleteResourcePolicy can delete.
///
/// # Errors
///
/// `ResourceNotFoundException`.
pub fn delete(policy: Option<&ResourcePolicy>, resource: &ResourceArn) -> Result<(), Error> {
    match policy {
        Some(_) => Ok(()),
        None => Err(Error::not_found(format!("No resource policy found for resource ARN {resource}."))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::operations::testing::{arn, input, json, refusal_of, text_of};

    fn resource() -> ResourceArn {
        ResourceArn::Stream(arn())
    }

    fn put_of(policy: &str) -> Result<String, Error> {
        put(&input("PutResourcePolicy", &[("Policy", policy)]), &resource()).map(|policy| policy.as_str().to_owned())
    }

    #[test]
    fn a_policy_comes_back_as_it_was() {
        let policy = "{ \"Version\": \"2012-10-17\",\n \"Statement\": [] }";
        assert_eq!(put_of(policy).as_deref(), Ok(policy));
        let kept = ResourcePolicy::new(r#"{"a":1}"#).expect("it is short");
        assert_eq!(json(&get(Some(&kept))), r#"{"Policy":"{\"a\":1}"}"#);
        assert_eq!(json(&get(None)), r#"{"Policy":"{}"}"#);
        assert_eq!(delete(Some(&kept), &resource()), Ok(()));
        assert_eq!(
            refusal_of(delete(None, &resource())),
            "ResourceNotFoundException: No resource policy found for resource ARN \
             arn:aws:kinesis:eu-west-1:000000000000:stream/orders."
        );
    }

    #[test]
    fn what_is_no_policy_is_refused() {
        for text in ["", "x", "[]", "\"a\"", "{", "{} {}", &"[".repeat(1_000)] {
            assert!(text_of(put_of(text)).contains("stream/orders cannot be: "), "{text}");
        }
        let long = format!("{{\"a\":\"{}\"}}", "x".repeat(20 << 10));
        assert!(text_of(put_of(&long)).contains("the length of the policy is 20488 and must be from 1 to 20480 bytes"));
    }
}

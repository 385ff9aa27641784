//! Each named fault of a language model has a test that carries its name.
//!
//! | name | fault |
//! |---|---|
//! | L01 | 429, with and without `Retry-After` |
//! | L02 | 5xx |
//! | L03 | no connection, or an answer that stops in the middle |
//! | L04 | a stream that is cut inside of a call |
//! | L05 | a call at the token limit |
//! | L06 | arguments that are no JSON, or too deep, or too large |
//! | L07 | a tool that does not exist, or only looks as if |
//! | L08 | arguments that do not fit the schema |
//! | L09 | the same call again and again, ping-pong |
//! | L10 | two hundred calls in one answer |
//! | L11 | text without end |
//! | L12 | an empty answer, a refusal |
//! | L13 | ids of calls that are missing, reused or duplicated |
//! | L14 | an answer in the wrong shape |
//! | L15 | a conversation that outgrows the context |
//! | L16 | figures of usage that cannot be true |
//! | L17 | another model under the same name |
//! | L18 | the claim to have done something |
//! | L19 | control characters and markup |
//! | L20 | the answer to somebody else's question |

use std::collections::BTreeMap;
use std::path::Path;

/// The tests of each fault, by its number.
fn tests_of_faults(folder: &Path, found: &mut BTreeMap<u32, Vec<String>>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            tests_of_faults(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let text = std::fs::read_to_string(&path).unwrap();
            for line in text.lines() {
                let Some((_, name)) = line.split_once("fn l") else { continue };
                if let Some((number, words)) = name.split_once('_')
                    && number.len() == 2
                    && let Ok(number) = number.parse()
                {
                    found.entry(number).or_default().push(words.to_owned());
                }
            }
        }
    }
}

#[test]
fn every_fault_of_a_model_has_a_test_that_carries_its_name() {
    let mut found = BTreeMap::new();
    for folder in ["src", "tests"] {
        tests_of_faults(&Path::new(env!("CARGO_MANIFEST_DIR")).join(folder), &mut found);
    }
    let without: Vec<u32> = (1..=20).filter(|number| !found.contains_key(number)).collect();
    assert!(without.is_empty(), "no test `fn lNN_…` for the faults {without:?}");
}

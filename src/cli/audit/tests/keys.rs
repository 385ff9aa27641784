//! One key hands the log on to the next; nobody signs what is not his.

use super::*;
use crate::journal::KeyRotated;

/// The key of that number; all have one name.
fn key(n: u8) -> Signer {
    Signer::from_seed(&[n; 32], |_| "log.example/a".into()).unwrap()
}

fn rotated(before: u8, to: u8) -> Body {
    Body::KeyRotated(KeyRotated {
        key: key(to).key().to_string(),
        before: key(before).key().to_string(),
        by: "uid 1000".into(),
        reason: "yearly".into(),
    })
}

fn known(numbers: &[u8]) -> Terms {
    Terms { keys: numbers.iter().map(|n| key(*n).key().clone()).collect(), ..Terms::default() }
}

/// What is wrong, with these keys known.
async fn wrong(memory: &Memory, numbers: &[u8]) -> Vec<String> {
    let audit = verify::verify(memory, &known(numbers)).await.unwrap();
    assert_eq!(audit.pass, audit.failures.is_empty());
    audit.failures.into_iter().map(|failure| failure.what).collect()
}

/// Key 9 signs twice and once more what hands the log on to key 8, which signs twice.
fn handed_on() -> Memory {
    let mut memory = written(Verdict::Allow);
    memory.append(SYSTEM, rotated(9, 8));
    memory.sign(&key(9));
    for _ in 0..2 {
        memory.append(SYSTEM, Body::Stopped {});
        memory.sign(&key(8));
    }
    memory
}

#[tokio::test]
async fn a_log_that_was_handed_on_verifies_with_the_keys_in_their_order() {
    let memory = handed_on();
    let audit = verify::verify(&memory, &known(&[9, 8])).await.unwrap();
    assert!(audit.pass && audit.rotations == 1, "{audit:#?}");
    assert!(audit.lines()[0].contains("handed on 1 time"), "{:?}", audit.lines());
    assert!(wrong(&memory, &[9]).await[0].contains("does not hold"), "the second key is not known");
    assert!(wrong(&memory, &[8]).await[0].contains("does not hold"), "the first key is not known");
    for numbers in [&[8, 9][..], &[9, 8, 7], &[9, 7, 8], &[7, 9, 8]] {
        assert!(!wrong(&memory, numbers).await.is_empty(), "{numbers:?}");
    }
    assert!(wrong(&memory, &[9, 8, 7]).await[0].contains("was cut back"));
    // Once more, before the second key signed anything else.
    let mut memory = written(Verdict::Allow);
    for (before, to) in [(9, 8), (8, 7)] {
        memory.append(SYSTEM, rotated(before, to));
        memory.sign(&key(before));
    }
    assert!(wrong(&memory, &[9, 8, 7]).await.is_empty());
    assert!(wrong(&memory, &[9, 8]).await.is_empty(), "the third signed nothing yet");
    // Right after the entry, before anybody signed it.
    let mut memory = written(Verdict::Allow);
    memory.append(SYSTEM, rotated(9, 8));
    assert!(wrong(&memory, &[9]).await.is_empty());
}

#[tokio::test]
async fn no_key_signs_what_is_not_its_own() {
    type Tampering = fn(&mut Memory);
    let cases: [(&str, Tampering, &str); 7] = [
        (
            "whoever has the old key alone rewrites everything and leaves the rotation in",
            |memory| {
                memory.rewrite("inv_1", 9, Body::Closed { outcome: Outcome::Failed });
                memory.notes.clear();
                memory.sign(&key(9));
            },
            "reaches beyond entry",
        ),
        (
            "the old key signs on",
            |memory| {
                memory.append(SYSTEM, Body::Stopped {});
                memory.sign(&key(9));
            },
            "held the log then",
        ),
        (
            "the new key signs the entry that names it",
            |memory| {
                memory.notes.truncate(2);
                memory.sign(&key(8));
            },
            "held the log then",
        ),
        (
            "whoever has the new key alone rewrites everything",
            |memory| {
                memory.rewrite("inv_1", 9, Body::Closed { outcome: Outcome::Failed });
                memory.notes.clear();
                memory.sign(&key(8));
            },
            "held the log then",
        ),
        (
            "and leaves out that it was handed on",
            |memory| {
                memory.rewrite(SYSTEM, 3, Body::Stopped {});
                memory.notes.clear();
                memory.sign(&key(8));
            },
            "was cut back",
        ),
        (
            "whoever has the old key alone goes on before the rotation",
            |memory| {
                memory.rewrite(SYSTEM, 3, Body::Stopped {});
                memory.notes.truncate(2);
                memory.sign(&key(9));
            },
            "was cut back",
        ),
        (
            "and hands it on to a key of his own",
            |memory| {
                memory.rewrite(SYSTEM, 3, rotated(9, 7));
                memory.notes.truncate(2);
                memory.sign(&key(9));
            },
            "the key named for that is",
        ),
    ];
    for (what, tamper, told) in cases {
        let mut memory = handed_on();
        tamper(&mut memory);
        let wrong = wrong(&memory, &[9, 8]).await;
        assert!(wrong.iter().any(|line| line.contains(told)), "{what}: {wrong:#?}");
    }
    // An entry that hands on what its key does not hold.
    let mut memory = handed_on();
    memory.append(SYSTEM, rotated(9, 7));
    memory.sign(&key(8));
    assert!(wrong(&memory, &[9, 8, 7]).await[0].contains("did not hold it"));
}

#[tokio::test]
async fn a_kept_checkpoint_shows_that_the_log_only_grew() {
    let memory = handed_on();
    for (_, note) in &memory.notes {
        let (since, _) = signed::opened(note, &known(&[9, 8]).keys).unwrap();
        let grown = Terms { since: Some(since.clone()), ..known(&[9, 8]) };
        let audit = verify::verify(&memory, &grown).await.unwrap();
        assert!(audit.pass && audit.grew_since == Some((since.size, since.at)) && audit.witnessed == 0, "{audit:#?}");
        assert!(audit.lines()[2].contains(&format!("grew only since {}", since.size)));
        for other in [Checkpoint { root: [0; 32], ..since.clone() }, Checkpoint { size: 99, ..since }] {
            let audit = verify::verify(&memory, &Terms { since: Some(other), ..known(&[9, 8]) }).await.unwrap();
            assert_eq!((audit.grew_since, audit.failed.contains_key(&Check::Consistency)), (None, true));
        }
    }
}

#[tokio::test]
async fn one_investigation_is_verified_alone() {
    let mut memory = written(Verdict::Allow);
    let one = InvestigationId::new(Uuid::from_u128(1));
    let bodies = bodies(Verdict::Allow, |text| memory.blob_of(text));
    for name in [one.to_string(), "inv_2".into()] {
        bodies.iter().for_each(|body| memory.append(&name, body.clone()));
    }
    memory.sign(&signer());
    let of = |id: InvestigationId| Terms { only: Some(id), ..terms() };
    let audit = verify::verify(&memory, &of(one)).await.unwrap();
    assert!(audit.pass, "{audit:#?}");
    assert_eq!((audit.chains, audit.investigations, audit.left_out), (2, 1, 2));
    // What is wrong elsewhere is not looked at; what is wrong in it is found.
    let mut elsewhere = memory.clone();
    elsewhere.chains.get_mut("inv_2").unwrap()[3].at = Timestamp::from_second(9).unwrap();
    assert!(verify::verify(&elsewhere, &of(one)).await.unwrap().pass);
    memory.chains.get_mut(&one.to_string()).unwrap()[3].at = Timestamp::from_second(9).unwrap();
    assert!(!verify::verify(&memory, &of(one)).await.unwrap().pass);
    let nobody = verify::verify(&memory, &of(InvestigationId::new(Uuid::from_u128(5)))).await.unwrap();
    assert!(nobody.failures[0].what.contains("nowhere in this journal"), "{nobody:#?}");
}

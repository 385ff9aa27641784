//! Whatever is changed in an export is found. `FIREWARDEN_FULL=1` flips every byte of many.

use super::exported::{InMemory, Site, offline};
use super::*;

/// Chance that can be repeated.
struct Dice(u64);

impl Dice {
    fn below(&mut self, n: usize) -> usize {
        // splitmix64
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        ((z ^ (z >> 31)) % n.max(1) as u64) as usize
    }
}

fn lines(bytes: &[u8]) -> Vec<Vec<u8>> {
    bytes.split_inclusive(|byte| *byte == b'\n').map(<[u8]>::to_vec).collect()
}

/// Changes something in `files`, and says what.
fn tamper(files: &mut InMemory, dice: &mut Dice) -> String {
    let names: Vec<String> = files.0.keys().cloned().collect();
    let name = names[dice.below(names.len())].clone();
    let bytes = files.0.get_mut(&name).unwrap();
    let mut parts = lines(bytes);
    let (a, b) = (dice.below(parts.len()), dice.below(parts.len()));
    let way = dice.below(11);
    match way {
        0 => drop(parts.remove(a)),
        1 => parts.swap(a, b),
        2 => parts.insert(b, parts[a].clone()),
        3 => parts.rotate_left(a),
        4 => parts.truncate(a),
        _ => {}
    }
    match way {
        0..=4 => *bytes = parts.concat(),
        5 => bytes.truncate(dice.below(bytes.len())),
        6 => bytes.insert(dice.below(bytes.len() + 1), dice.below(256) as u8),
        7 => drop(bytes.remove(dice.below(bytes.len()))),
        8 => drop(files.0.remove(&name)),
        9 => {
            // Two files in each other's place.
            let other = names[dice.below(names.len())].clone();
            let (one, two) = (files.0[&name].clone(), files.0[&other].clone());
            files.0.extend([(name.clone(), two), (other, one)]);
        }
        _ => {
            let at = dice.below(bytes.len());
            bytes[at] ^= 1 << dice.below(8);
        }
    }
    format!("way {way} in {name}")
}

#[tokio::test(flavor = "multi_thread")]
async fn every_tampering_with_an_export_is_found_and_nothing_else() {
    let full = std::env::var_os("FIREWARDEN_FULL").is_some_and(|v| v == "1");
    let (exports, wanted) = if full { (6, 54_000) } else { (1, 2_000) };
    let (mut tried, mut unchanged) = (0_u64, 0_u64);
    let mut missed: Vec<String> = vec![];
    for number in 0..exports {
        let site = Site::new().await;
        site.investigate(&format!("first {number}"), &[1, 6]).await;
        if full {
            site.investigate("second", &[3]).await;
        }
        site.sign().await;
        let files = site.export(None, Words::Jsonl).await;
        let audit = offline(&files, false).await;
        assert!(audit.pass, "falsely reported: {audit:#?}");
        let bytes: Vec<(String, usize)> =
            files.0.iter().flat_map(|(name, bytes)| (0..bytes.len()).map(|at| (name.clone(), at))).collect();
        let of_this = wanted / exports;
        // Every byte in a full run; in a short one as many as there is time for, spread over all files.
        let flips = if full { bytes.len() } else { of_this / 2 };
        let mut work: Vec<(String, InMemory)> = vec![];
        let mut dice = Dice(number as u64 + 1);
        for n in 0..flips {
            let (name, at) = &bytes[n * bytes.len() / flips];
            let mut changed = files.clone();
            let bit = dice.below(8);
            changed.0.get_mut(name).unwrap()[*at] ^= 1 << bit;
            work.push((format!("bit {bit} of byte {at} of {name}"), changed));
        }
        while work.len() < of_this.max(flips + 1_000) {
            let mut changed = files.clone();
            let what = tamper(&mut changed, &mut dice);
            match changed == files {
                true => unchanged += 1,
                false => work.push((what, changed)),
            }
        }
        tried += work.len() as u64;
        let half = work.split_off(work.len() / 2);
        let halves = [work, half].map(|work| {
            tokio::spawn(async move {
                let mut missed = vec![];
                for (what, changed) in work {
                    if offline(&changed, false).await.pass {
                        missed.push(what);
                    }
                }
                missed
            })
        });
        for half in halves {
            missed.extend(half.await.unwrap());
        }
    }
    assert!(missed.is_empty(), "{} of {tried} went unnoticed:\n{}", missed.len(), missed.join("\n"));
    assert!(tried >= wanted as u64, "{tried} tamperings, {unchanged} changed nothing");
    // For `--nocapture`: the figure of a full run.
    #[allow(clippy::print_stdout)]
    {
        println!("{tried} tamperings with {exports} exports: all found, none falsely reported");
    }
}

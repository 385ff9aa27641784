//! The shipped policies in a folder, changed where a test is not about them.

use std::path::Path;

/// The shipped policies, without their tests, in which nobody is asked about changes at LOW: what every
/// bundle has to refuse stays refused.
pub fn permissive(dir: &Path) {
    shipped(dir);
    std::fs::remove_dir_all(dir.join("tests")).unwrap();
    for (file, from, to) in [
        ("action/effects.rego", r#"in {"ok", "none"}"#, r#"in {"ok", "none", "unknown"}"#),
        ("action/blast.rego", "\tnot input.blast_radius.known\n", "\tinput.blast_radius.known == \"never\"\n"),
        ("data/org.yaml", "same_action_1h: 2", "same_action_1h: 90"),
        ("data/org.yaml", "same_action_failed_24h: 2", "same_action_failed_24h: 90"),
        ("data/org.yaml", "resource_1h: 3", "resource_1h: 90"),
        ("data/org.yaml", "namespace_1h: 10", "namespace_1h: 90"),
        ("data/org.yaml", "targets_of_kind_1h: 5", "targets_of_kind_1h: 90"),
    ] {
        edit(&dir.join(file), from, to);
    }
}

/// The shipped policies as they are.
pub fn shipped(dir: &Path) {
    copy(&Path::new(env!("CARGO_MANIFEST_DIR")).join("policies"), dir);
}

/// Changes a part of a file that has to be there.
pub fn edit(file: &Path, from: &str, to: &str) {
    let text = std::fs::read_to_string(file).unwrap();
    assert!(text.contains(from), "{} does not hold {from}", file.display());
    std::fs::write(file, text.replace(from, to)).unwrap();
}

fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        match entry.file_type().unwrap().is_dir() {
            true => copy(&entry.path(), &to.join(entry.file_name())),
            false => drop(std::fs::copy(entry.path(), to.join(entry.file_name())).unwrap()),
        }
    }
}

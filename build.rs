//! The embedded folders are part of the program: a new file in one of them makes a new program.

fn main() {
    for folder in ["policies", "prompts", "tools", "scenarios", "migrations"] {
        println!("cargo:rerun-if-changed={folder}");
    }
}

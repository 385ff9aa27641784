use super::*;

#[test]
fn every_command_is_well_formed() {
    Cli::command().debug_assert();
}

#[test]
fn what_is_typed_is_understood() {
    for typed in [
        "serve",
        "serve --config f.yaml --listen 127.0.0.1:1",
        "demo",
        "demo no-fault --exit",
        "demo --list -o json",
        "investigate -",
        "investigate --source alertmanager alert.json -o json",
        "init somewhere",
        "check --policies p -o yaml",
        "check --alert - --source grafana -o json",
        "policy check",
        "policy test p --run foo.*",
        "prompt render incident --scenario no-fault",
        "tools list -o json",
        "tools describe kubernetes_get",
        "tools call kubernetes_get kind=Pod name=x",
        "events list --severity critical --limit 3 --server http://h:1",
        "events list --quarantined",
        "events replay evt_1",
        "events show evt_1",
        "investigations list --state closed",
        "investigations watch inv_1",
        "investigations report inv_1 --markdown",
        "investigations cancel inv_1 --reason r",
        "approvals list --state pending --investigation inv_1 -o yaml",
        "approvals show apr_1",
        "approvals grant apr_1 --yes --comment c --digest sha256:0",
        "approvals deny apr_1 --reason r --server http://h:1",
        "audit verify -o json",
        "audit verify --export DIR --key KEY --witness FILE --partial",
        "audit show inv_1",
        "audit export --out DIR --since 2026-11-20T00:00:00Z --format ocsf",
        "audit checkpoint -o json",
        "version",
        "completions bash",
    ] {
        let words = std::iter::once("firewarden").chain(typed.split(' '));
        if let Err(error) = Cli::try_parse_from(words) {
            panic!("{typed}: {error}");
        }
    }
    for typed in [
        "",
        "sevre",
        "serve --lisen x",
        "check --source grafana",
        "investigate",
        "policy test --run (",
        "approvals",
        "approvals grant",
        "events list --limit 0",
        "events list --quarantined --outcome merged",
        "events list -o xml",
        "audit verify --export DIR",
        "audit verify --partial",
        "audit export",
        "audit export --out DIR --format xml",
    ] {
        let words = std::iter::once("firewarden").chain(typed.split_whitespace());
        let told = Cli::try_parse_from(words).unwrap_err();
        assert!(told.use_stderr(), "{typed}");
    }
}

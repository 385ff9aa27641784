//! The Alertmanager whose silences are looked at, and made.

use super::{Resolver, Step, at};
use crate::config::Alertmanager;
use std::time::Duration;

/// A silence is at least this long, and at most.
const SHORTEST: Duration = Duration::from_secs(60);
const LONGEST: Duration = Duration::from_secs(7 * 86_400);

impl Resolver<'_> {
    pub(super) fn alertmanager(&mut self) -> Option<Alertmanager> {
        let of = &self.loaded.file.tools.alertmanager;
        let credential = self.credential("alertmanager", None, of.bearer.as_ref(), of.basic.as_ref());
        let named = credential.is_some() || of.write;
        let url = self.peer_address("alertmanager", of.url.as_ref(), &["ALERTMANAGER_URL"], named)?;
        let longest = of.longest_silence.0;
        if !(SHORTEST..=LONGEST).contains(&longest) {
            let key = at!["tools", "alertmanager", "longest_silence"];
            self.problem(key, "is not between 1m and 7d", "4h is usual");
        }
        Some(Alertmanager { url, credential, write: of.write, longest_silence: longest })
    }
}

#[cfg(test)]
mod tests {
    use crate::config::{Config, Credential, Sources};
    use std::time::Duration;

    fn resolved(yaml: &str, env: &[(&str, &str)]) -> Result<Config, String> {
        let dir = tempfile::tempdir().map_err(|e| e.to_string())?;
        std::fs::write(dir.path().join("f.yaml"), yaml).map_err(|e| e.to_string())?;
        let env = env.iter().chain([&("HOME", "/home/someone")]);
        let env = env.map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        let sources = Sources { file: Some("f.yaml".into()), env, flags: vec![], cwd: dir.path().into() };
        sources.load().and_then(|loaded| loaded.resolve()).map_err(|e| e.to_string())
    }

    #[test]
    fn an_address_lets_look_and_write_lets_silence() {
        let config = resolved("{}", &[("ALERTMANAGER_URL", "http://am:9093/")]).unwrap();
        assert!(config.has_peer("alertmanager") && !config.has_peer("alertmanager_write"));
        let found = config.alertmanager.unwrap();
        assert_eq!((found.url.as_str(), found.longest_silence), ("http://am:9093", Duration::from_secs(4 * 3600)));
        assert!(resolved("{}", &[]).unwrap().alertmanager.is_none());

        let yaml = "tools: {alertmanager: {url: 'http://am:9093', bearer: 'env:T', write: true, longest_silence: 30m}}";
        let config = resolved(yaml, &[("T", "t0ken"), ("ALERTMANAGER_URL", "http://other")]).unwrap();
        assert!(config.has_peer("alertmanager_write"));
        assert!(config.secrets().iter().any(|secret| secret.expose() == "t0ken"));
        let found = config.alertmanager.unwrap();
        assert_eq!((found.url.as_str(), found.longest_silence), ("http://am:9093", Duration::from_secs(1800)));
        assert!(matches!(found.credential, Some(Credential::Bearer(_))));
        for (wrong, says) in [
            ("{url: 'http://am', longest_silence: 30s}", "is not between 1m and 7d"),
            ("{url: 'http://am', longest_silence: 8d}", "tools.alertmanager.longest_silence"),
            ("{write: true}", "tools.alertmanager.url"),
            ("{bearer: 'env:T'}", "tools.alertmanager.url"),
            ("{url: 'http://am', bearer: 'env:T', basic: {username: u, password: 'env:T'}}", "keep one of them"),
        ] {
            let error = resolved(&format!("tools: {{alertmanager: {wrong}}}"), &[("T", "t0ken")]).unwrap_err();
            assert!(error.contains(says), "{wrong}: {error}");
        }
    }
}

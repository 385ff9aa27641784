//! Which addresses may be fetched at all: hosts that the configuration lists, written plainly.
//!
//! One parser reads both the list and the address, and an address that it would have to rewrite is
//! refused: octal or hexadecimal numbers, percent signs, backslashes, a user before the host. So
//! there is no second reading of an address that could lead elsewhere.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use url::{Host, Url};

/// Longest address.
const ADDRESS_BYTES: usize = 2048;

/// A host that may be asked.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Listed {
    host: String,
    /// `None`: the usual one of the scheme.
    port: Option<u16>,
}

/// The hosts that may be asked; nothing else is.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AllowedHosts(Vec<Listed>);

/// Why an address is not asked.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NotAllowed {
    /// It is written in a way that could be read in two.
    #[error("the address is not written plainly: {0}; write https://HOST/PATH")]
    Odd(&'static str),
    /// Not https, and not this machine.
    #[error("the address is not https; plain http is for this machine only")]
    Plain,
    /// Not in the list.
    #[error("{0} is not among the hosts that may be asked")]
    Unlisted(String),
}

impl AllowedHosts {
    /// Reads the list: `HOST`, `HOST:PORT`, `[IPV6]:PORT`.
    ///
    /// # Errors
    /// The first entry that is none, and why.
    pub fn new<T: AsRef<str>>(hosts: &[T]) -> Result<Self, String> {
        let mut listed = Vec::new();
        for entry in hosts {
            let entry = entry.as_ref();
            let wrong = |why: &str| format!("`{entry}` is no host: {why}; write HOST or HOST:PORT");
            if entry.contains(['/', '?', '#', '@', '\\', '%', '*']) || entry.contains(char::is_whitespace) {
                return Err(wrong("it holds more than a name and a port"));
            }
            let url = Url::parse(&format!("https://{entry}/")).map_err(|e| wrong(&e.to_string()))?;
            let host = url.host_str().unwrap_or_default();
            // The parser leaves out the usual port of its scheme.
            let bare = if entry.starts_with('[') { entry.split_once(']').map(|(_, rest)| rest) } else { Some(entry) };
            let port = bare.and_then(|bare| bare.rsplit_once(':')).and_then(|(_, port)| port.parse().ok());
            let written = match port {
                Some(port) => format!("{host}:{port}"),
                None => host.to_owned(),
            };
            if !entry.eq_ignore_ascii_case(&written) {
                return Err(wrong(&format!("it means {written}")));
            }
            listed.push(Listed { host: host.to_owned(), port });
        }
        Ok(Self(listed))
    }

    /// Whether nothing is listed.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The first page of each host that is listed.
    pub fn starts(&self) -> Vec<String> {
        let start = |listed: &Listed| {
            let port = listed.port.map_or(String::new(), |port| format!(":{port}"));
            let address = |scheme: &str| format!("{scheme}://{}{port}/", listed.host);
            // This machine is asked as it may be, without TLS.
            let plain = address("http");
            match Url::parse(&plain).is_ok_and(|url| is_here(&url)) {
                true => plain,
                false => address("https"),
            }
        };
        self.0.iter().map(start).collect()
    }

    /// The address that `text` is, if it may be asked.
    ///
    /// # Errors
    /// [`NotAllowed`].
    pub fn admit(&self, text: &str) -> Result<Url, NotAllowed> {
        if text.len() > ADDRESS_BYTES {
            return Err(NotAllowed::Odd("it is too long"));
        }
        if text.contains(|c: char| !c.is_ascii_graphic() || c == '\\') {
            return Err(NotAllowed::Odd("it holds blanks, backslashes or letters beyond ASCII"));
        }
        let url = Url::parse(text).map_err(|_| NotAllowed::Odd("it is no URL"))?;
        if !matches!(url.scheme(), "https" | "http") {
            return Err(NotAllowed::Odd("it is neither https nor http"));
        }
        let Some(host) = url.host_str() else { return Err(NotAllowed::Odd("it names no host")) };
        let rest = text.get(url.scheme().len()..).and_then(|rest| rest.strip_prefix("://"));
        let written = rest.map(|rest| rest.split(['/', '?', '#']).next().unwrap_or_default()).unwrap_or_default();
        if written.contains('@') {
            return Err(NotAllowed::Odd("it carries a user"));
        }
        let port = url.port_or_known_default().unwrap_or_default();
        if !written.eq_ignore_ascii_case(host) && !written.eq_ignore_ascii_case(&format!("{host}:{port}")) {
            return Err(NotAllowed::Odd("its host has a plainer form"));
        }
        let usual = if url.scheme() == "https" { 443 } else { 80 };
        if !self.0.iter().any(|listed| listed.host == host && listed.port.unwrap_or(usual) == port) {
            let shown: String = host.chars().take(100).collect();
            return Err(NotAllowed::Unlisted(format!("{shown}:{port}")));
        }
        if url.scheme() == "http" && !is_here(&url) {
            return Err(NotAllowed::Plain);
        }
        Ok(url)
    }
}

/// Whether the address is this machine by its own words.
pub fn is_here(url: &Url) -> bool {
    match url.host() {
        Some(Host::Domain(name)) => name == "localhost",
        Some(Host::Ipv4(ip)) => ip.is_loopback(),
        Some(Host::Ipv6(ip)) => ip.is_loopback(),
        None => false,
    }
}

/// Whether a name that was listed may lead to `ip`. Private networks are where wikis and services
/// live; a name that leads to a machine's own services or to a cloud's credentials was turned there.
pub fn may_lead_to(url: &Url, ip: IpAddr) -> bool {
    let ip = plain(ip);
    if let Some(Host::Ipv4(_) | Host::Ipv6(_)) = url.host() {
        // The operator wrote this very number; the resolver has nothing to say.
        return !ip.is_unspecified() && !ip.is_multicast();
    }
    if is_here(url) {
        return ip.is_loopback();
    }
    let local = match ip {
        IpAddr::V4(v4) => v4.is_link_local() || v4.is_broadcast() || METADATA.contains(&v4),
        IpAddr::V6(v6) => v6.is_unicast_link_local() || v6 == METADATA_V6,
    };
    !(local || ip.is_loopback() || ip.is_unspecified() || ip.is_multicast())
}

/// Where clouds hand out credentials, besides the link-local one.
const METADATA: [Ipv4Addr; 2] = [Ipv4Addr::new(100, 100, 100, 200), Ipv4Addr::new(192, 0, 0, 192)];
const METADATA_V6: Ipv6Addr = Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254);

/// The address itself when it is wrapped into IPv6: mapped, or behind the usual NAT64 prefix.
fn plain(ip: IpAddr) -> IpAddr {
    let IpAddr::V6(v6) = ip else { return ip };
    let low = || {
        let o = v6.octets();
        Ipv4Addr::new(o[12], o[13], o[14], o[15])
    };
    match v6.segments() {
        [0x64, 0xff9b, 0, 0, 0, 0, _, _] => IpAddr::V4(low()),
        // IPv4-compatible, long out of use; `::` and `::1` are themselves.
        [0, 0, 0, 0, 0, 0, a, b] if a != 0 || b > 1 => IpAddr::V4(low()),
        _ => ip.to_canonical(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn hosts() -> AllowedHosts {
        AllowedHosts::new(&["runbooks.example.org", "wiki.corp:8443", "127.0.0.1:8080", "localhost:3000", "[::1]:8080"])
            .unwrap()
    }

    #[test]
    fn the_first_page_of_each_host_may_be_asked() {
        let starts = hosts().starts();
        let first = ["https://runbooks.example.org/", "https://wiki.corp:8443/", "http://127.0.0.1:8080/"];
        assert_eq!(starts[..3], first);
        assert!(starts.len() == 5 && starts.iter().all(|start| hosts().admit(start).is_ok()), "{starts:?}");
    }

    #[test]
    fn what_is_listed_is_admitted_and_nothing_else() {
        for fine in [
            "https://runbooks.example.org",
            "https://RUNBOOKS.example.org/a/b?c=d#e",
            "https://runbooks.example.org:443/a",
            "HTTPS://wiki.corp:8443/pages/1",
            "http://127.0.0.1:8080/x",
            "http://localhost:3000/x",
            "https://localhost:3000/x",
            "http://[::1]:8080/",
            "https://runbooks.example.org/a@b",
            "https://runbooks.example.org/%2e%2e/x",
        ] {
            assert!(hosts().admit(fine).is_ok(), "{fine}: {:?}", hosts().admit(fine));
        }
        for refused in [
            "http://runbooks.example.org/",
            "https://runbooks.example.org:8443/",
            "https://wiki.corp/",
            "https://runbooks.example.org./",
            "https://runbooks.example.org.evil.test/",
            "https://evil.test/runbooks.example.org",
            "https://evil.test#runbooks.example.org",
            "https://evil.test?@runbooks.example.org/",
            "https://runbooks.example.org@evil.test/",
            "https://user@runbooks.example.org/",
            "https://:@runbooks.example.org/",
            "https://evil.test\\@runbooks.example.org/",
            "https:\\\\runbooks.example.org/",
            "https:/runbooks.example.org/",
            "https:runbooks.example.org/",
            "https:///runbooks.example.org/",
            "//runbooks.example.org/",
            "/etc/passwd",
            "file:///etc/passwd",
            "javascript:alert(1)",
            "data:text/html,x",
            "gopher://runbooks.example.org/",
            "unix:///var/run/docker.sock",
            "https://runbooks%2eexample.org/",
            "https://runbooks.example\u{3002}org/",
            "https://rünbooks.example.org/",
            "https://runbooks.example.org\t/",
            " https://runbooks.example.org/",
            "https://runbooks.exa\nmple.org/",
            "http://0177.0.0.1:8080/",
            "http://2130706433:8080/",
            "http://0x7f.1:8080/",
            "http://127.1:8080/",
            "http://127.0.0.1./",
            "http://[::ffff:127.0.0.1]:8080/",
            "http://[0:0:0:0:0:0:0:1]:8080/",
            "http://[::1%25lo]:8080/",
            "http://169.254.169.254/latest/meta-data",
            "http://127.0.0.1:08080/",
            "http://127.0.0.2:8080/",
            "",
            "https://",
        ] {
            assert!(hosts().admit(refused).is_err(), "{refused}");
        }
    }

    #[test]
    fn a_list_holds_hosts_only() {
        for wrong in [
            "https://a",
            "a/b",
            "u@a",
            "*.example.org",
            "0x7f.1",
            "a b",
            "a:99999",
            "",
            "ünder.example",
            "[::ffff:1.2.3.4]",
        ] {
            assert!(AllowedHosts::new(&[wrong]).is_err(), "{wrong}");
        }
        assert!(AllowedHosts::new(&["a:443", "10.0.0.7", "A.example"]).is_ok());
        assert!(AllowedHosts::new(&["A.example"]).unwrap().admit("https://a.example/").is_ok());
    }

    #[test]
    fn a_listed_name_does_not_lead_to_the_machine_itself() {
        let url = |text: &str| Url::parse(text).unwrap();
        let name = url("https://wiki.corp/");
        for (ip, fine) in [
            ("10.1.2.3", true),
            ("93.184.216.34", true),
            ("fd12::1", true),
            ("127.0.0.1", false),
            ("0.0.0.0", false),
            ("169.254.169.254", false),
            ("100.100.100.200", false),
            ("255.255.255.255", false),
            ("224.0.0.1", false),
            ("::1", false),
            ("::", false),
            ("fe80::1", false),
            ("fd00:ec2::254", false),
            ("::ffff:127.0.0.1", false),
            ("::ffff:169.254.169.254", false),
            ("64:ff9b::a9fe:a9fe", false),
            ("::127.0.0.1", false),
            ("ff02::1", false),
        ] {
            assert_eq!(may_lead_to(&name, ip.parse().unwrap()), fine, "{ip}");
        }
        assert!(may_lead_to(&url("http://localhost:1/"), "127.0.0.1".parse().unwrap()));
        assert!(!may_lead_to(&url("http://localhost:1/"), "10.0.0.1".parse().unwrap()));
    }

    fn address() -> impl Strategy<Value = String> {
        let part = prop_oneof![
            Just("runbooks.example.org".to_owned()),
            Just("wiki.corp:8443".to_owned()),
            Just("127.0.0.1:8080".to_owned()),
            Just("evil.test".to_owned()),
            Just("169.254.169.254".to_owned()),
            Just("0177.1".to_owned()),
            Just("[::1]:8080".to_owned()),
            Just("@".to_owned()),
            Just(":".to_owned()),
            Just("//".to_owned()),
            Just("/".to_owned()),
            Just("\\".to_owned()),
            Just("#".to_owned()),
            Just("?".to_owned()),
            Just(".".to_owned()),
            Just("%2f".to_owned()),
            Just("%00".to_owned()),
            Just("\t".to_owned()),
            Just("\u{3002}".to_owned()),
            Just("https:".to_owned()),
            Just("http:".to_owned()),
            Just("HTTPS://".to_owned()),
            "[a-z0-9.:@/\\\\%]{0,6}",
        ];
        (prop_oneof![Just("https://"), Just("http://"), Just("")], proptest::collection::vec(part, 1..6))
            .prop_map(|(scheme, parts)| format!("{scheme}{}", parts.concat()))
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(4000))]
        #[test]
        fn whatever_is_admitted_names_a_listed_host_for_any_reader(text in address()) {
            if let Ok(url) = hosts().admit(&text) {
                let listed = [("runbooks.example.org", 443), ("wiki.corp", 8443), ("127.0.0.1", 8080), ("localhost", 3000), ("[::1]", 8080)];
                let pair = (url.host_str().unwrap(), url.port_or_known_default().unwrap());
                prop_assert!(listed.contains(&pair), "{text} -> {url}");
                prop_assert!(url.username().is_empty() && url.password().is_none());
                // A reader that splits by hand comes to the same host: after `//` up to `/`, `?`, `#` or `\`,
                // what follows the last `@`.
                let rest = text.split_once("//").unwrap().1;
                let authority = rest.split(['/', '?', '#', '\\']).next().unwrap().rsplit('@').next().unwrap();
                let host = authority.strip_suffix(&format!(":{}", pair.1)).unwrap_or(authority);
                prop_assert!(host.eq_ignore_ascii_case(pair.0), "{text}: {host}");
            }
        }
    }
}

//! What a certificate says of itself: for showing, never for trusting. Trust is the TLS library's.

use jiff::{Timestamp, civil, tz::TimeZone};

/// Most names that are told.
const NAMES: usize = 50;
/// Most bytes of a name.
const NAME_BYTES: usize = 255;

/// The fields of an X.509 certificate that an operator asks for first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Certificate {
    /// The common name of its subject; newer ones have none.
    pub subject: Option<String>,
    /// The common name, else the organisation, of its issuer.
    pub issuer: Option<String>,
    /// The DNS names that it is for.
    pub names: Vec<String>,
    /// From when it is good.
    pub not_before: Timestamp,
    /// Until when.
    pub not_after: Timestamp,
}

const SEQUENCE: u8 = 0x30;
const VERSION: u8 = 0xa0;
const EXTENSIONS: u8 = 0xa3;
const OCTETS: u8 = 0x04;
const DNS_NAME: u8 = 0x82;
const UTC_TIME: u8 = 0x17;
const GENERALIZED_TIME: u8 = 0x18;
/// 2.5.4.3, 2.5.4.10 and 2.5.29.17.
const COMMON_NAME: &[u8] = &[0x55, 0x04, 0x03];
const ORGANISATION: &[u8] = &[0x55, 0x04, 0x0a];
const ALTERNATIVE_NAMES: &[u8] = &[0x55, 0x1d, 0x11];

impl Certificate {
    /// Reads DER; `None` when it is no certificate.
    pub fn read(der: &[u8]) -> Option<Self> {
        let mut outer = Elements(der);
        let mut certificate = Elements(outer.expect(SEQUENCE)?);
        let mut fields = Elements(certificate.expect(SEQUENCE)?);
        let (first, _) = fields.next()?;
        if first == VERSION {
            fields.next()?;
        }
        // The serial number is behind us; now the algorithm.
        fields.expect(SEQUENCE)?;
        let issuer = fields.expect(SEQUENCE)?;
        let mut validity = Elements(fields.expect(SEQUENCE)?);
        let (not_before, not_after) = (time(validity.next()?)?, time(validity.next()?)?);
        let subject = fields.expect(SEQUENCE)?;
        let names = fields.find_map(|(tag, value)| (tag == EXTENSIONS).then(|| dns_names(value)).flatten());
        Some(Self {
            subject: attribute(subject, COMMON_NAME),
            issuer: attribute(issuer, COMMON_NAME).or_else(|| attribute(issuer, ORGANISATION)),
            names: names.unwrap_or_default(),
            not_before,
            not_after,
        })
    }
}

/// The elements of a DER value, one after the other: tag and content.
struct Elements<'d>(&'d [u8]);

impl<'d> Elements<'d> {
    fn expect(&mut self, tag: u8) -> Option<&'d [u8]> {
        self.next().filter(|(found, _)| *found == tag).map(|(_, value)| value)
    }
}

impl<'d> Iterator for Elements<'d> {
    type Item = (u8, &'d [u8]);

    fn next(&mut self) -> Option<Self::Item> {
        let (tag, rest) = self.0.split_first()?;
        let (length, rest) = rest.split_first()?;
        let (length, rest) = match length {
            0..=0x7f => (usize::from(*length), rest),
            // A length of up to three bytes: nothing that is kept is longer.
            0x81..=0x83 => {
                let (bytes, rest) = rest.split_at_checked(usize::from(length & 0x7f))?;
                (bytes.iter().fold(0, |sum, byte| sum << 8 | usize::from(*byte)), rest)
            }
            _ => return None,
        };
        let (value, rest) = rest.split_at_checked(length)?;
        self.0 = rest;
        Some((*tag, value))
    }
}

/// The first attribute `kind` of a name.
fn attribute(name: &[u8], kind: &[u8]) -> Option<String> {
    Elements(name).find_map(|(_, set)| {
        let mut pair = Elements(Elements(set).next()?.1);
        (pair.next()?.1 == kind).then(|| pair.next()).flatten().map(|(_, value)| text(value))
    })
}

fn dns_names(extensions: &[u8]) -> Option<Vec<String>> {
    let list = Elements(extensions).expect(SEQUENCE)?;
    let names = Elements(list).find_map(|(_, extension)| {
        let mut parts = Elements(extension);
        (parts.next()?.1 == ALTERNATIVE_NAMES).then(|| parts.find(|(tag, _)| *tag == OCTETS)).flatten()
    })?;
    let names = Elements(Elements(names.1).expect(SEQUENCE)?).filter(|(tag, _)| *tag == DNS_NAME);
    Some(names.take(NAMES).map(|(_, name)| text(name)).collect())
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(&bytes[..bytes.len().min(NAME_BYTES)]).into_owned()
}

/// `YYMMDDHHMMSSZ` or `YYYYMMDDHHMMSSZ`.
fn time((tag, bytes): (u8, &[u8])) -> Option<Timestamp> {
    let text = std::str::from_utf8(bytes).ok().filter(|text| text.is_ascii())?;
    let (year, rest) = match tag {
        UTC_TIME => text.split_at_checked(2).and_then(|(year, rest)| {
            let year: i16 = year.parse().ok()?;
            Some((if year < 50 { 2000 + year } else { 1900 + year }, rest))
        })?,
        GENERALIZED_TIME => text.split_at_checked(4).and_then(|(year, rest)| Some((year.parse().ok()?, rest)))?,
        _ => return None,
    };
    let digits = rest.strip_suffix('Z').filter(|d| d.len() == 10)?;
    let part = |at: usize| digits.get(at..at + 2)?.parse::<i8>().ok();
    let at = civil::DateTime::new(year, part(0)?, part(2)?, part(4)?, part(6)?, part(8)?, 0).ok()?;
    TimeZone::UTC.to_timestamp(at).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustls::pki_types::{CertificateDer, pem::PemObject as _};

    pub(crate) fn der(name: &str) -> CertificateDer<'static> {
        let path = format!("{}/tests/fixtures/tls/{name}.pem", env!("CARGO_MANIFEST_DIR"));
        CertificateDer::from_pem_file(&path).unwrap_or_else(|e| panic!("{path}: {e}"))
    }

    #[test]
    fn a_certificate_says_who_it_is_for_and_until_when() {
        let good = Certificate::read(&der("good")).unwrap();
        assert_eq!(good.subject.as_deref(), Some("shop.test"));
        assert_eq!(good.issuer.as_deref(), Some("Example Test CA"));
        assert_eq!(good.names, ["shop.test", "www.shop.test"]);
        assert!(good.not_after > "2100-01-01T00:00:00Z".parse().unwrap());
        let old = Certificate::read(&der("expired")).unwrap();
        assert_eq!(old.not_after.to_string(), "2021-01-01T00:00:00Z");
    }

    proptest::proptest! {
        #[test]
        fn any_bytes_are_read_or_refused(at in 0usize..600, byte: u8, cut in 0usize..600) {
            let mut bytes = der("good").to_vec();
            if let Some(place) = bytes.get_mut(at) {
                *place = byte;
            }
            let _ = Certificate::read(&bytes);
            let _ = Certificate::read(&bytes[..cut.min(bytes.len())]);
        }
    }
}

//! The forms in which a known secret may stand in a text: as it is, and as programs write it into
//! headers, addresses, JSON and Secrets.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD_NO_PAD;
use std::collections::BTreeSet;

/// Values shorter than this are looked for as they are alone: their other forms are like ordinary words.
const SHORTEST: usize = 8;
/// Values longer than this are, too: what is that long is a key, which its lines tell.
const LONGEST: usize = 4 << 10;

/// `value` in each of its forms.
pub(super) fn of(value: &str) -> BTreeSet<String> {
    let mut forms = BTreeSet::from([value.to_owned()]);
    let bytes = value.as_bytes();
    if !(SHORTEST..=LONGEST).contains(&bytes.len()) {
        return forms;
    }
    // Three bytes make four letters: where the value begins decides which letters it gets.
    for before in 0..3 {
        let form = inside_base64(bytes, before);
        forms.insert(form.replace('+', "-").replace('/', "_"));
        forms.insert(form);
    }
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~');
    let mut encoded = [String::new(), String::new()];
    let mut hex = [String::new(), String::new()];
    for byte in bytes {
        let (lower, upper) = (format!("{byte:02x}"), format!("{byte:02X}"));
        match plain(*byte) {
            true => encoded.iter_mut().for_each(|text| text.push(char::from(*byte))),
            false => encoded.iter_mut().zip([&lower, &upper]).for_each(|(text, hex)| text.extend(["%", hex])),
        }
        hex.iter_mut().zip([lower, upper]).for_each(|(text, hex)| text.push_str(&hex));
    }
    forms.extend(encoded.iter().map(|text| text.replace("%20", "+")));
    forms.extend(encoded.into_iter().chain(hex));
    // A JSON text in a JSON text is escaped twice.
    let once = escaped(value);
    forms.extend([escaped(&once), ascii_escaped(value), once]);
    forms
}

/// The letters that `bytes` have in any base64 in which `before` bytes (modulo three) stand before them.
fn inside_base64(bytes: &[u8], before: usize) -> String {
    let shifted = [&[0; 2][..before], bytes].concat();
    let letters = BASE64_STANDARD_NO_PAD.encode(&shifted);
    // Letters that hold a bit of a neighbour are not the value's own.
    let (first, last) = ((before * 8).div_ceil(6), shifted.len() * 8 / 6);
    letters.get(first..last).unwrap_or_default().to_owned()
}

/// `text` as it stands between the quotation marks of a JSON string.
fn escaped(text: &str) -> String {
    let quoted = serde_json::Value::from(text).to_string();
    quoted.get(1..quoted.len() - 1).unwrap_or_default().to_owned()
}

/// The same as serializers write it that keep to ASCII and are afraid of markup.
fn ascii_escaped(text: &str) -> String {
    let mut out = String::new();
    for c in escaped(text).chars() {
        match c {
            '<' | '>' | '&' => out.push_str(&format!("\\u{:04x}", u32::from(c))),
            c if c.is_ascii() => out.push(c),
            c => c.encode_utf16(&mut [0; 2]).iter().for_each(|unit| out.push_str(&format!("\\u{unit:04x}"))),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn short_values_have_one_form() {
        assert_eq!(of("hunter2"), BTreeSet::from(["hunter2".to_owned()]));
        assert_eq!(of(&"x".repeat(LONGEST + 1)).len(), 1);
        assert!(of("p\"a&ss wört").iter().all(|form| form.len() >= SHORTEST));
    }

    #[test]
    fn each_form_is_known() {
        let forms = of("p\"a&ss wört");
        for form in [
            "p%22a%26ss%20w%C3%B6rt",
            "p%22a%26ss%20w%c3%b6rt",
            "p%22a%26ss+w%C3%B6rt",
            "70226126737320",
            "p\\\"a&ss wört",
            "p\\\\\\\"a&ss wört",
            "p\\\"a\\u0026ss w\\u00f6rt",
        ] {
            assert!(forms.iter().any(|known| known.starts_with(form)), "{form}: {forms:#?}");
        }
    }

    proptest::proptest! {
        #[test]
        fn no_base64_of_what_holds_the_value_lacks_its_form(before in ".{0,12}", value in "[ -~]{8,40}", after in ".{0,12}") {
            use base64::prelude::{BASE64_STANDARD, BASE64_URL_SAFE};
            let whole = format!("{before}{value}{after}");
            for text in [BASE64_STANDARD.encode(&whole), BASE64_URL_SAFE.encode(&whole)] {
                proptest::prop_assert!(of(&value).iter().any(|form| text.contains(form.as_str())), "{}", text);
            }
        }
    }
}

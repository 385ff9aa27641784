//! Amounts of resources, as Kubernetes writes them.

const SUFFIXES: [(&str, f64); 15] = [
    ("Ki", 1024.0),
    ("Mi", 1_048_576.0),
    ("Gi", 1_073_741_824.0),
    ("Ti", 1_099_511_627_776.0),
    ("Pi", 1_125_899_906_842_624.0),
    ("Ei", 1_152_921_504_606_846_976.0),
    ("n", 1e-9),
    ("u", 1e-6),
    ("m", 1e-3),
    ("k", 1e3),
    ("M", 1e6),
    ("G", 1e9),
    ("T", 1e12),
    ("P", 1e15),
    ("E", 1e18),
];

/// A quantity in its base unit (bytes, cores, pieces): `20Gi`, `250m`, `1e3`. Nothing when `text` is none.
pub fn quantity(text: &str) -> Option<f64> {
    let text = text.trim();
    let (number, factor) = SUFFIXES
        .iter()
        .find_map(|(suffix, factor)| text.strip_suffix(suffix).map(|number| (number, *factor)))
        .unwrap_or((text, 1.0));
    number.parse::<f64>().ok().map(|n| n * factor).filter(|n| n.is_finite())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_notations_have_one_unit() {
        for (written, expected) in [
            ("20Gi", Some(21_474_836_480.0)),
            ("250m", Some(0.25)),
            ("1500000n", Some(0.0015)),
            ("2", Some(2.0)),
            ("1e3", Some(1000.0)),
            ("1E3", Some(1000.0)),
            ("1E", Some(1e18)),
            ("5G", Some(5e9)),
            ("lots", None),
            ("NaN", None),
            ("inf", None),
            ("1e308E", None),
            ("", None),
        ] {
            let got = quantity(written);
            assert!(
                matches!((got, expected), (None, None)) || (got.unwrap() / expected.unwrap() - 1.0).abs() < 1e-9,
                "{written}: {got:?}"
            );
        }
    }
}

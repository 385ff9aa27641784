//! The Merkle tree of RFC 6962: over an append-only list it proves that a line is in it, and that a
//! longer list begins with a shorter one.

use sha2::{Digest as _, Sha256};

/// A SHA-256 hash of the tree.
pub type Hash = [u8; 32];

/// The hash of a leaf. Leaves and inner nodes can never be taken for each other.
pub fn leaf(data: &[u8]) -> Hash {
    Sha256::new().chain_update([0]).chain_update(data).finalize().into()
}

fn node(left: &Hash, right: &Hash) -> Hash {
    Sha256::new().chain_update([1]).chain_update(left).chain_update(right).finalize().into()
}

/// As much of a tree as is needed to go on with it: the roots of its full subtrees, the largest first.
/// One for each binary digit of the size that is 1.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Frontier {
    size: u64,
    peaks: Vec<Hash>,
}

impl Frontier {
    /// Number of leaves.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// Adds a leaf.
    pub fn push(&mut self, leaf: Hash) {
        let (mut hash, mut full) = (leaf, self.size);
        while full & 1 == 1 {
            let Some(left) = self.peaks.pop() else { break };
            hash = node(&left, &hash);
            full >>= 1;
        }
        self.peaks.push(hash);
        self.size += 1;
    }

    /// The root over all leaves so far.
    pub fn root(&self) -> Hash {
        let mut peaks = self.peaks.iter().rev();
        match peaks.next() {
            None => Sha256::new().finalize().into(),
            Some(last) => peaks.fold(*last, |right, left| node(left, &right)),
        }
    }

    /// Eight bytes of size, then the hashes.
    pub fn to_bytes(&self) -> Vec<u8> {
        let hashes = self.peaks.iter().flatten().copied();
        self.size.to_be_bytes().into_iter().chain(hashes).collect()
    }

    /// What [`Frontier::to_bytes`] wrote; `None` where it is something else.
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let (size, hashes) = bytes.split_first_chunk::<8>()?;
        let size = u64::from_be_bytes(*size);
        let (peaks, rest) = hashes.as_chunks::<32>();
        (rest.is_empty() && peaks.len() == size.count_ones() as usize).then(|| Self { size, peaks: peaks.to_vec() })
    }
}

/// The root over `leaves`.
pub fn root(leaves: &[Hash]) -> Hash {
    let mut frontier = Frontier::default();
    leaves.iter().for_each(|leaf| frontier.push(*leaf));
    frontier.root()
}

/// Where a tree of `size` ≥ 2 leaves is divided: at the largest power of two below it.
fn split(size: usize) -> usize {
    size.next_power_of_two() / 2
}

/// Proves that leaf `index` (from 0) is one of `leaves`. `None` when there is no such leaf.
pub fn inclusion(leaves: &[Hash], index: usize) -> Option<Vec<Hash>> {
    (index < leaves.len()).then(|| {
        let mut path = vec![];
        let (mut leaves, mut index) = (leaves, index);
        while leaves.len() > 1 {
            let (left, right) = leaves.split_at(split(leaves.len()));
            if index < left.len() {
                path.push(root(right));
                leaves = left;
            } else {
                path.push(root(left));
                index -= left.len();
                leaves = right;
            }
        }
        path.reverse();
        path
    })
}

/// Proves that the first `first` of `leaves` are a list that `leaves` only adds to. `None` when it is
/// longer than them, or empty.
pub fn consistency(leaves: &[Hash], first: usize) -> Option<Vec<Hash>> {
    (1..=leaves.len()).contains(&first).then(|| {
        let mut path = vec![];
        let (mut leaves, mut first, mut is_whole) = (leaves, first, true);
        while first < leaves.len() {
            let (left, right) = leaves.split_at(split(leaves.len()));
            if first <= left.len() {
                path.push(root(right));
                leaves = left;
            } else {
                path.push(root(left));
                first -= left.len();
                leaves = right;
                is_whole = false;
            }
        }
        // Whoever asks knows the root of the shorter list; a part of it has to be told.
        path.extend((!is_whole).then(|| root(leaves)));
        path.reverse();
        path
    })
}

/// Whether `path` proves that `leaf` is number `index` (from 0) of the `size` leaves under `root`.
pub fn includes(leaf: &Hash, index: u64, size: u64, path: &[Hash], root: &Hash) -> bool {
    if index >= size {
        return false;
    }
    let (mut at, mut last, mut hash) = (index, size - 1, *leaf);
    for other in path {
        if last == 0 {
            return false;
        }
        if at & 1 == 1 || at == last {
            hash = node(other, &hash);
            while at & 1 == 0 && at != 0 {
                (at, last) = (at >> 1, last >> 1);
            }
        } else {
            hash = node(&hash, other);
        }
        (at, last) = (at >> 1, last >> 1);
    }
    last == 0 && hash == *root
}

/// Whether `path` proves that the list of `first` leaves under `old` is the beginning of that of
/// `second` leaves under `new`.
pub fn is_consistent(first: u64, second: u64, path: &[Hash], old: &Hash, new: &Hash) -> bool {
    if first == 0 || first > second {
        return false;
    }
    if first == second {
        return path.is_empty() && old == new;
    }
    // A full tree is one node of the larger one, and its root is known.
    let known = first.is_power_of_two().then_some(*old);
    let mut path = known.into_iter().chain(path.iter().copied());
    let Some(seed) = path.next() else { return false };
    let shift = (first - 1).trailing_ones();
    let (mut at, mut last) = ((first - 1) >> shift, (second - 1) >> shift);
    let (mut of_old, mut of_new) = (seed, seed);
    for other in path {
        if last == 0 {
            return false;
        }
        if at & 1 == 1 || at == last {
            of_old = node(&other, &of_old);
            of_new = node(&other, &of_new);
            while at & 1 == 0 && at != 0 {
                (at, last) = (at >> 1, last >> 1);
            }
        } else {
            of_new = node(&of_new, &other);
        }
        (at, last) = (at >> 1, last >> 1);
    }
    last == 0 && of_old == *old && of_new == *new
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::hex;
    use proptest::prelude::*;

    /// The leaves of the test vectors of RFC 6962's reference implementation.
    fn known() -> Vec<Hash> {
        ["", "00", "10", "2021", "3031", "40414243", "5051525354555657", "606162636465666768696a6b6c6d6e6f"]
            .map(|text| {
                let bytes: Vec<u8> =
                    (0..text.len() / 2).map(|n| u8::from_str_radix(&text[2 * n..2 * n + 2], 16).unwrap()).collect();
                leaf(&bytes)
            })
            .to_vec()
    }

    #[test]
    fn the_roots_are_those_of_the_reference() {
        let leaves = known();
        for (size, expected) in [
            (0, "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"),
            (1, "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d"),
            (2, "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125"),
            (3, "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77"),
            (4, "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7"),
            (5, "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4"),
            (6, "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef"),
            (7, "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c"),
            (8, "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328"),
        ] {
            assert_eq!(hex(&root(&leaves[..size])), expected, "{size}");
        }
    }

    /// By the definition of the RFC, word for word.
    fn by_the_book(leaves: &[Hash]) -> Hash {
        match leaves {
            [] => root(&[]),
            [one] => *one,
            more => {
                let (left, right) = more.split_at(split(more.len()));
                node(&by_the_book(left), &by_the_book(right))
            }
        }
    }

    fn leaves(n: usize) -> Vec<Hash> {
        (0..n).map(|n| leaf(&n.to_be_bytes())).collect()
    }

    #[test]
    fn every_proof_of_a_small_tree_holds() {
        for size in 1..=33_usize {
            let all = leaves(size);
            let whole = root(&all);
            for n in 0..size {
                let path = inclusion(&all, n).unwrap();
                assert!(includes(&all[n], n as u64, size as u64, &path, &whole), "{n} of {size}");
                let path = consistency(&all, n + 1).unwrap();
                let old = root(&all[..=n]);
                assert!(is_consistent(n as u64 + 1, size as u64, &path, &old, &whole), "{} in {size}", n + 1);
            }
            assert!(inclusion(&all, size).is_none() && consistency(&all, size + 1).is_none());
        }
        assert!(consistency(&leaves(3), 0).is_none());
    }

    proptest! {
        #[test]
        fn a_tree_grows_as_the_rfc_defines_it(size in 0..300_usize) {
            let all = leaves(size);
            prop_assert_eq!(root(&all), by_the_book(&all));
            let mut frontier = Frontier::default();
            all[..size / 2].iter().for_each(|leaf| frontier.push(*leaf));
            let mut kept = Frontier::from_bytes(&frontier.to_bytes()).unwrap();
            prop_assert_eq!(&kept, &frontier);
            all[size / 2..].iter().for_each(|leaf| kept.push(*leaf));
            prop_assert_eq!(kept.root(), root(&all));
            prop_assert_eq!(kept.size(), size as u64);
        }

        #[test]
        fn no_other_leaf_place_size_path_or_root_is_proven(
            size in 2..200_usize, at in 0..200_usize, change in 0..5_u8, byte in 0..32_usize, step in 0..8_usize,
        ) {
            let all = leaves(size);
            let at = at % size;
            let (mut leaf, mut path, mut whole) = (all[at], inclusion(&all, at).unwrap(), root(&all));
            let (mut index, mut claimed) = (at as u64, size as u64);
            match change {
                0 => leaf[byte] ^= 1,
                1 => whole[byte] ^= 1,
                2 => { let n = step % path.len(); path[n][byte] ^= 1 }
                3 => { path.pop(); }
                _ => { index = (index + 1) % claimed; claimed += u64::from(index == 0); }
            }
            prop_assert!(!includes(&leaf, index, claimed, &path, &whole));
        }

        #[test]
        fn a_list_that_was_rewritten_is_not_consistent(size in 2..200_usize, first in 1..200_usize, byte in 0..32_usize) {
            let all = leaves(size);
            let first = 1 + first % (size - 1);
            let path = consistency(&all, first).unwrap();
            let (old, new) = (root(&all[..first]), root(&all));
            let holds = |path: &[Hash], old: &Hash, new: &Hash| is_consistent(first as u64, size as u64, path, old, new);
            prop_assert!(holds(&path, &old, &new));
            let mut other = all.clone();
            other[first / 2][byte] ^= 1;
            prop_assert!(!holds(&consistency(&other, first).unwrap(), &old, &root(&other)));
            prop_assert!(!holds(&path, &old, &root(&other)) && !holds(&path, &root(&other[..first]), &new));
            prop_assert!(!holds(&path[1..], &old, &new));
        }

        #[test]
        fn a_frontier_is_read_only_from_its_own_bytes(bytes in proptest::collection::vec(any::<u8>(), 0..120)) {
            if let Some(frontier) = Frontier::from_bytes(&bytes) {
                prop_assert_eq!(frontier.to_bytes(), bytes);
            }
        }
    }
}

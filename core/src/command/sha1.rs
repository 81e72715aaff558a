//! SHA-1, by which servers name scripts.
//!
//! Spec: FIPS 180-4. Not for security. Called by `client/script.rs`.

/// The digest of `text` in lower-case hexadecimal.
pub(crate) fn sha1_hex(text: &[u8]) -> String {
    let mut state = [0x6745_2301_u32, 0xEFCD_AB89, 0x98BA_DCFE, 0x1032_5476, 0xC3D2_E1F0];
    let mut message = text.to_vec();
    message.push(0x80);
    message.resize((text.len() + 9).next_multiple_of(64) - 8, 0);
    message.extend_from_slice(&(text.len() as u64 * 8).to_be_bytes());
    let (words, _) = message.as_chunks::<4>();
    let (blocks, _) = words.as_chunks::<16>();
    blocks.iter().for_each(|block| compress(&mut state, block));
    let mut hex = String::with_capacity(40);
    for nibble in state.iter().flat_map(|word| (0..8).rev().map(move |at| word >> (4 * at) & 15)) {
        hex.extend(char::from_digit(nibble, 16));
    }
    hex
}

fn compress(state: &mut [u32; 5], block: &[[u8; 4]; 16]) {
    let mut words = [0_u32; 80];
    for (word, bytes) in words.iter_mut().zip(block) {
        *word = u32::from_be_bytes(*bytes);
    }
    for at in 16..80 {
        let mixed = words[at - 3] ^ words[at - 8] ^ words[at - 14] ^ words[at - 16];
        words[at] = mixed.rotate_left(1);
    }
    let [mut a, mut b, mut c, mut d, mut e] = *state;
    for (at, word) in words.iter().enumerate() {
        let (choice, constant) = match at {
            0..20 => ((b & c) | (!b & d), 0x5A82_7999),
            20..40 => (b ^ c ^ d, 0x6ED9_EBA1),
            40..60 => ((b & c) | (b & d) | (c & d), 0x8F1B_BCDC),
            _ => (b ^ c ^ d, 0xCA62_C1D6_u32),
        };
        let next = a.rotate_left(5).wrapping_add(choice).wrapping_add(e);
        let next = next.wrapping_add(constant).wrapping_add(*word);
        (a, b, c, d, e) = (next, a, b.rotate_left(30), c, d);
    }
    for (sum, part) in state.iter_mut().zip([a, b, c, d, e]) {
        *sum = sum.wrapping_add(part);
    }
}

#[cfg(test)]
mod tests {
    use super::sha1_hex;

    #[test]
    fn digests_are_those_of_the_standard() {
        let table = [
            (String::new(), "da39a3ee5e6b4b0d3255bfef95601890afd80709"),
            ("abc".to_owned(), "a9993e364706816aba3e25717850c26c9cd0d89d"),
            (
                "abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq".to_owned(),
                "84983e441c3bd26ebaae4aa1f95129e5e54670f1",
            ),
            ("a".repeat(1_000_000), "34aa973cd4c4daa4f61eeb2bdbad27316534016f"),
        ];
        for (text, digest) in table {
            assert_eq!(sha1_hex(text.as_bytes()), digest);
        }
    }
}

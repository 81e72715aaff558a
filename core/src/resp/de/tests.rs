//! Every type that callers ask for, from every form that servers send it in.

use super::super::scan::{DEPTH_MAX, Found, ScanLimits, Scanner};
use super::*;
use crate::resp::blob::Blob;
use crate::resp::server_error::ServerError;
use crate::resp::value::Value;
use serde::Deserialize;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fmt::Debug;

/// Decodes one frame, which must be a whole one for the scanner, too.
fn decode<T: DeserializeOwned>(frame: &[u8]) -> Result<T, DecodeError> {
    let limits = ScanLimits { reply_bytes_max: 1 << 20, reply_depth_max: 32 };
    let scanned = Scanner::new(limits).scan(frame);
    assert_eq!(scanned, Ok(Found::Frame(frame.len())), "{}", frame.escape_ascii());
    from_frame(&Bytes::copy_from_slice(frame))
}

/// Every frame gives `expected`.
fn all<T: DeserializeOwned + Debug + PartialEq>(frames: &[&[u8]], expected: &T) {
    for frame in frames {
        let shown = frame.escape_ascii();
        match decode::<T>(frame) {
            Ok(value) => assert_eq!(value, *expected, "{shown}"),
            Err(error) => panic!("{shown}: {error}"),
        }
    }
}

/// The error's text.
fn fails<T: DeserializeOwned + Debug>(frame: &[u8]) -> String {
    decode::<T>(frame).expect_err("a frame that does not fit").to_string()
}

fn text(text: &str) -> String {
    text.to_owned()
}

#[test]
fn null_of_any_kind_is_none() {
    all::<Option<String>>(&[b"_\r\n", b"$-1\r\n", b"*-1\r\n", b"|1\r\n+k\r\n_\r\n_\r\n"], &None);
    all(&[b"$1\r\na\r\n", b"|1\r\n+k\r\n:1\r\n+a\r\n"], &Some(text("a")));
    all(&[b"*3\r\n$1\r\na\r\n_\r\n$-1\r\n"], &vec![Some(text("a")), None, None]);
    all(&[b":-7\r\n"], &Some(Some(-7_i8)));
}

#[test]
fn strings_come_from_every_text() {
    all(&[b"$5\r\nhello\r\n", b"+hello\r\n", b"=9\r\ntxt:hello\r\n"], &text("hello"));
    all(&[b":12\r\n", b"$2\r\n12\r\n", b"(12\r\n", b",12\r\n"], &text("12"));
    all(&[b"$1\r\nx\r\n"], &'x');
    all(&[b"$0\r\n\r\n", b"+\r\n"], &text(""));
}

#[test]
fn numbers_come_from_every_form() {
    let forms: &[&[u8]] = &[b":42\r\n", b"$2\r\n42\r\n", b"+42\r\n", b",42\r\n", b"(42\r\n"];
    all(forms, &42_u8);
    all(forms, &42_i64);
    all(forms, &42_u128);
    all(forms, &42.0_f64);
    all(&[b":-9223372036854775808\r\n"], &i64::MIN);
    all(&[b"(-170141183460469231731687303715884105728\r\n"], &i128::MIN);
    all(&[b"#t\r\n"], &1_u8);
    all(&[b",1.5\r\n", b"$3\r\n1.5\r\n", b",15e-1\r\n"], &1.5_f32);
    all(&[b",inf\r\n", b"$3\r\ninf\r\n", b",+inf\r\n"], &f64::INFINITY);
    all(&[b",-inf\r\n"], &f64::NEG_INFINITY);
    for frame in [&b",nan\r\n"[..], b"$4\r\n-nan\r\n"] {
        assert!(decode::<f64>(frame).is_ok_and(f64::is_nan));
    }
}

#[test]
fn booleans_come_from_flags_numbers_and_ok() {
    let yes: &[&[u8]] = &[b"#t\r\n", b":1\r\n", b"$1\r\n1\r\n", b"+OK\r\n", b"$4\r\ntrue\r\n"];
    all(yes, &true);
    all(&[b"#f\r\n", b":0\r\n", b"$1\r\n0\r\n"], &false);
    let error = fails::<bool>(b":2\r\n");
    assert_eq!(error, "expected a boolean, got integer 2, while decoding bool; i64 fits");
    assert!(fails::<bool>(b"#x\r\n").contains("got boolean x"));
}

#[test]
fn unit_takes_anything_but_an_error() {
    all(&[b"+OK\r\n", b"_\r\n", b"*2\r\n:1\r\n%1\r\n+a\r\n+b\r\n"], &());
    assert_eq!(fails::<()>(b"-ERR no\r\n"), "server error in reply: ERR no");
    assert_eq!(fails::<()>(b"*2\r\n:1\r\n*1\r\n-ERR no\r\n"), "server error in reply: ERR no");
}

#[test]
fn lists_sets_and_tuples() {
    let lists: &[&[u8]] = &[b"*2\r\n:1\r\n:2\r\n", b"~2\r\n:1\r\n:2\r\n", b">2\r\n:1\r\n+2\r\n"];
    all(lists, &vec![1_u64, 2]);
    all(lists, &BTreeSet::from([1_u64, 2]));
    all(lists, &(1_u8, text("2")));
    all(lists, &[1_u8, 2]);
    all(&[b"*0\r\n"], &Vec::<String>::new());
    all(&[b"%1\r\n+a\r\n+b\r\n"], &vec![text("a"), text("b")]);
    let error = fails::<(u8, u8)>(b"*3\r\n:1\r\n:2\r\n:3\r\n");
    assert!(error.starts_with("expected a tuple of size 2, got array of 3 elements"), "{error}");
    let error = fails::<Vec<u8>>(b"_\r\n");
    assert_eq!(error, "expected a sequence, got null, while decoding Vec<u8>; Option<T> fits");
}

#[test]
fn pairs_come_nested_flat_and_as_a_map() {
    let expected = vec![(text("a"), 1.5), (text("b"), 2.0)];
    let frames: &[&[u8]] = &[
        b"*2\r\n*2\r\n$1\r\na\r\n,1.5\r\n*2\r\n$1\r\nb\r\n,2\r\n",
        b"*4\r\n$1\r\na\r\n$3\r\n1.5\r\n$1\r\nb\r\n$1\r\n2\r\n",
        b"%2\r\n$1\r\na\r\n,1.5\r\n$1\r\nb\r\n,2\r\n",
    ];
    all(frames, &expected);
    all(frames, &expected.iter().cloned().collect::<BTreeMap<_, _>>());
    assert!(fails::<Vec<(String, f64)>>(b"*3\r\n+a\r\n:1\r\n+b\r\n").contains("got simple string"));
    // A pair takes a neighbour of its own list, never of the list around it.
    let nested = b"*2\r\n*1\r\n+a\r\n+b\r\n";
    assert!(fails::<Vec<Vec<(String, String)>>>(nested).contains("got simple string \"a\""));
    let scan: (u64, Vec<(String, u8)>) =
        decode(b"*2\r\n$1\r\n0\r\n*4\r\n+a\r\n:1\r\n+b\r\n:2\r\n").expect("a ZSCAN reply");
    assert_eq!(scan, (0, vec![(text("a"), 1), (text("b"), 2)]));
}

#[test]
fn maps_come_from_maps_flat_arrays_and_arrays_of_pairs() {
    let expected = HashMap::from([(text("a"), 1_u64), (text("b"), 2)]);
    let frames: &[&[u8]] = &[
        b"%2\r\n$1\r\na\r\n:1\r\n$1\r\nb\r\n:2\r\n",
        b"*4\r\n$1\r\na\r\n$1\r\n1\r\n$1\r\nb\r\n$1\r\n2\r\n",
        b"*2\r\n*2\r\n+a\r\n:1\r\n*2\r\n+b\r\n:2\r\n",
        b"|1\r\n+k\r\n+v\r\n%2\r\n|1\r\n+k\r\n+v\r\n+a\r\n|0\r\n:1\r\n+b\r\n:2\r\n",
    ];
    all(frames, &expected);
    all(&[b"%0\r\n", b"*0\r\n"], &HashMap::<String, u64>::new());
    let error = fails::<HashMap<String, u64>>(b"*3\r\n+a\r\n:1\r\n+b\r\n");
    assert_eq!(
        error,
        "expected a map, got array of 3 elements, while decoding HashMap<String, u64>; Vec<T> fits"
    );
    assert!(fails::<HashMap<String, u64>>(b"*2\r\n*2\r\n+a\r\n:1\r\n+b\r\n").contains("a pair"));
}

#[derive(Debug, Deserialize, PartialEq)]
struct User {
    name: String,
    #[serde(default)]
    visits: u32,
    score: Option<f64>,
    active: bool,
}

#[test]
fn a_struct_comes_from_a_hash() {
    let ada = User { name: text("Ada"), visits: 7, score: None, active: true };
    let frames: &[&[u8]] = &[
        b"%4\r\n$4\r\nname\r\n$3\r\nAda\r\n$6\r\nvisits\r\n:7\r\n+active\r\n#t\r\n\
          +x\r\n*1\r\n:1\r\n",
        b"*6\r\n$4\r\nname\r\n$3\r\nAda\r\n$6\r\nvisits\r\n$1\r\n7\r\n$6\r\nactive\r\n$1\r\n1\r\n",
    ];
    all(frames, &ada);
    let missing = fails::<User>(b"*0\r\n");
    assert_eq!(missing, "missing field `name`, while decoding User");
    let wrong = fails::<User>(b"%1\r\n+visits\r\n$3\r\nabc\r\n");
    let expected = "expected u32, got bulk string \"abc\" in field \"visits\", while decoding \
                    User; \
                    String fits";
    assert_eq!(wrong, expected);
    assert!(fails::<User>(b"$1\r\na\r\n").starts_with("expected struct User, got bulk string"));
}

#[derive(Debug, Deserialize, PartialEq)]
#[serde(rename_all = "lowercase")]
enum Role {
    Master,
    Slave,
}

#[derive(Debug, Deserialize, PartialEq)]
struct Meters(f64);

#[derive(Debug, Deserialize, PartialEq)]
#[serde(untagged)]
enum Either {
    Number(i64),
    List(Vec<Either>),
    Text(String),
    Nothing(()),
}

#[test]
fn enums_newtypes_and_untagged() {
    all(&[b"$6\r\nmaster\r\n", b"+master\r\n"], &Role::Master);
    all(&[b"%1\r\n+slave\r\n:1\r\n"], &HashMap::from([(text("slave"), 1)]));
    let error = fails::<Role>(b"+primary\r\n");
    assert_eq!(error, "expected one of master, slave, got \"primary\", while decoding Role");
    all(&[b",2.5\r\n"], &Meters(2.5));
    let list = vec![Either::Number(1), Either::Text(text("a")), Either::Nothing(())];
    all(&[b"*3\r\n:1\r\n$1\r\na\r\n_\r\n"], &Either::List(list));
}

#[test]
fn bytes_copied_and_shared() {
    all(&[b"$2\r\n\xff\x00\r\n"], &vec![0xff_u8, 0]);
    all(&[b"$2\r\n\xff\x00\r\n"], &[0xff_u8, 0]);
    all(&[b"$0\r\n\r\n"], &Vec::<u8>::new());
    all(&[b"*2\r\n:255\r\n:0\r\n"], &vec![0xff_u8, 0]);
    all(&[b"$2\r\n\xff\x00\r\n"], &Blob::from(vec![0xff, 0]));
    let error = fails::<Vec<String>>(b"$3\r\nabc\r\n");
    assert_eq!(
        error,
        "expected a sequence, got bulk string \"abc\", while decoding Vec<String>; String fits"
    );
    assert!(fails::<Vec<String>>(b"$0\r\n\r\n").starts_with("expected a sequence, got bulk"));
    assert!(
        fails::<String>(b"$2\r\n\xff\x00\r\n")
            .starts_with("expected a string in UTF-8, got bulk string \"\\xff\\0\"")
    );
    assert!(fails::<Blob>(b"_\r\n").starts_with("expected Blob, got null"));
}

#[test]
fn a_blob_is_a_slice_of_the_frame_wherever_it_stands() {
    #[derive(Deserialize)]
    struct Photo {
        id: u64,
        pixels: Blob,
        thumb: Option<Blob>,
    }
    let frame = Bytes::from_static(
        b"*3\r\n%3\r\n+id\r\n:1\r\n+pixels\r\n$3\r\nabc\r\n+thumb\r\n$1\r\nt\r\n\
          *2\r\n$2\r\nxy\r\n_\r\n\
          %1\r\n$1\r\nk\r\n$1\r\nv\r\n",
    );
    type Reply = (Photo, Vec<Option<Blob>>, HashMap<Blob, Blob>);
    let (photo, list, map): Reply = from_frame(&frame).expect("a reply that fits");
    let within = |blob: &Blob| frame.as_ptr_range().contains(&blob.as_ptr());
    assert_eq!((photo.id, &photo.pixels), (1, &Blob::from("abc")));
    assert_eq!(list.len(), 2);
    let first = list[0].as_ref().expect("not null");
    assert_eq!((first, &list[1]), (&Blob::from("xy"), &None));
    let thumb = photo.thumb.expect("not null");
    assert_eq!(map.get(&b"k"[..]).expect("the key"), "v");
    assert!([&photo.pixels, &thumb, first, &map[&b"k"[..]]].into_iter().all(within));
}

#[test]
fn value_takes_every_type_without_loss() {
    let frame =
        b"*13\r\n_\r\n#t\r\n:-1\r\n,0.5\r\n(18446744073709551616\r\n+OK\r\n$2\r\n\xff\x00\r\n\
        =7\r\ntxt:abc\r\n*1\r\n*-1\r\n~1\r\n:1\r\n%1\r\n+k\r\n$-1\r\n-ERR no\r\n\
        !8\r\nERR a\r\nb\r\n";
    let error = |text: &[u8]| Value::Error(ServerError::from_text(text));
    let expected = vec![
        Value::Null,
        Value::Bool(true),
        Value::Int(-1),
        Value::Double(0.5),
        Value::BigNumber(text("18446744073709551616")),
        Value::Text(text("OK")),
        Value::Blob(vec![0xff, 0].into()),
        Value::Verbatim { format: *b"txt", text: "abc".into() },
        Value::Array(vec![Value::Null]),
        Value::Set(vec![Value::Int(1)]),
        Value::Map(vec![(Value::Text(text("k")), Value::Null)]),
        error(b"ERR no"),
        error(b"ERR a\r\nb"),
    ];
    all(&[frame], &expected);
    all(&[frame], &Value::Array(expected));
    all(&[b">1\r\n+x\r\n"], &Value::Push(vec![Value::Text(text("x"))]));
    all(&[b"-ERR no\r\n"], &error(b"ERR no"));
    all(&[b"_\r\n"], &Some(Value::Null).filter(|_| false));
    for frame in [&b":abc\r\n"[..], b",x\r\n", b"(1.5\r\n", b"#x\r\n"] {
        assert_eq!(fails::<Value>(frame), "malformed reply, while decoding Value");
    }
}

#[test]
fn an_error_anywhere_fails_the_whole() {
    let frame = b"*2\r\n$1\r\na\r\n-WRONGTYPE no\r\n";
    let error = decode::<Vec<String>>(frame).expect_err("an error inside");
    assert_eq!(error.server_error().map(ServerError::code), Some("WRONGTYPE"));
    assert!(decode::<Option<String>>(b"-ERR\r\n").expect_err("error").server_error().is_some());
    let kept: Vec<Value> = decode(frame).expect("values take errors");
    assert!(kept[1].as_error().is_some());
}

#[test]
fn errors_name_the_type_and_show_little() {
    assert_eq!(
        fails::<u64>(b"$3\r\nabc\r\n"),
        "expected u64, got bulk string \"abc\"; String fits"
    );
    assert_eq!(fails::<u8>(b":256\r\n"), "expected u8, got integer 256; i64 fits");
    let long = [b"$1000\r\n".to_vec(), vec![0xff; 1000], b"\r\n".to_vec()].concat();
    assert!(fails::<u64>(&long).len() < 140, "{}", fails::<u64>(&long));
    assert_eq!(
        fails::<String>(b"*2\r\n:1\r\n:2\r\n"),
        "expected a string, got array of 2 elements, while decoding String; Vec<T> fits"
    );
}

#[test]
fn deep_replies_stop_before_the_stack_does() {
    #[derive(Debug, Deserialize)]
    struct Nest(#[expect(dead_code, reason = "only its depth matters")] Vec<Nest>);
    let frame = |depth: usize| Bytes::from([b"*1\r\n".repeat(depth), b"*0\r\n".to_vec()].concat());
    assert!(from_frame::<Nest>(&frame(DEPTH_MAX - 1)).is_ok());
    for depth in [DEPTH_MAX, 100_000] {
        let error = from_frame::<Nest>(&frame(depth)).expect_err("too deep");
        assert!(error.to_string().contains("deeper than 128"), "{error}");
        assert!(from_frame::<Value>(&frame(depth)).is_err());
        from_frame::<()>(&frame(depth)).expect("skipping counts, and does not recurse");
    }
}

// What servers answer to one command differs between RESP2 and RESP3; the type does not.
#[test]
fn nested_replies_of_real_commands_read_alike_in_both_protocols() {
    type Entries = Vec<(String, Option<HashMap<String, u64>>)>;
    let streams: HashMap<String, Entries> = HashMap::from([(
        text("s"),
        vec![(text("1-0"), Some(HashMap::from([(text("f"), 7)]))), (text("2-0"), None)],
    )]);
    let xread: &[&[u8]] = &[
        b"*1\r\n*2\r\n$1\r\ns\r\n*2\r\n*2\r\n$3\r\n1-0\r\n*2\r\n$1\r\nf\r\n$1\r\n7\r\n\
          *2\r\n$3\r\n2-0\r\n*-1\r\n",
        b"%1\r\n$1\r\ns\r\n*2\r\n*2\r\n$3\r\n1-0\r\n*2\r\n$1\r\nf\r\n$1\r\n7\r\n\
          *2\r\n$3\r\n2-0\r\n_\r\n",
    ];
    all(xread, &streams);

    #[derive(Debug, Deserialize, PartialEq)]
    struct Shard {
        slots: Vec<(u16, u16)>,
        nodes: Vec<Node>,
    }
    #[derive(Debug, Deserialize, PartialEq)]
    struct Node {
        id: String,
        port: u16,
    }
    let nodes = vec![Node { id: text("a"), port: 7000 }];
    let shards = vec![Shard { slots: vec![(0, 99), (200, 200)], nodes }];
    let cluster_shards: &[&[u8]] = &[
        b"*1\r\n*4\r\n$5\r\nslots\r\n*4\r\n:0\r\n:99\r\n:200\r\n:200\r\n$5\r\nnodes\r\n*1\r\n\
          *6\r\n$2\r\nid\r\n$1\r\na\r\n$4\r\nport\r\n:7000\r\n$2\r\nip\r\n$-1\r\n",
        b"*1\r\n%2\r\n$5\r\nslots\r\n*4\r\n:0\r\n:99\r\n:200\r\n:200\r\n$5\r\nnodes\r\n*1\r\n\
          %3\r\n$2\r\nid\r\n$1\r\na\r\n$4\r\nport\r\n:7000\r\n$2\r\nip\r\n_\r\n",
    ];
    all(cluster_shards, &shards);
}

#[test]
fn the_replies_of_a_pipeline_are_one_list() {
    #[derive(Debug, Deserialize, PartialEq)]
    struct Counts(Vec<u64>);
    #[derive(Debug, Deserialize, PartialEq)]
    struct Page {
        title: String,
        views: u64,
    }
    let frames = [&b"$1\r\na\r\n"[..], b":2\r\n"].map(Bytes::from_static);
    assert_eq!(from_frames::<(String, u64)>(&frames), Ok((text("a"), 2)));
    assert_eq!(from_frames::<Page>(&frames), Ok(Page { title: text("a"), views: 2 }));
    assert_eq!(from_frames::<Counts>(&frames[1..]), Ok(Counts(vec![2])));
    assert_eq!(from_frames::<Option<Vec<u64>>>(&frames[1..]), Ok(Some(vec![2])));
    assert_eq!(from_frames::<()>(&frames), Ok(()));
    let both = Value::Array(vec![Value::Blob("a".into()), Value::Int(2)]);
    assert_eq!(from_frames::<Value>(&frames), Ok(both));
    let fails = |error: DecodeError| error.to_string();
    let wrong = from_frames::<Vec<u64>>(&frames).map_err(fails);
    let expected =
        "reply 0: expected u64, got bulk string \"a\", while decoding Vec<u64>; String fits";
    assert_eq!(wrong, Err(text(expected)));
    let fewer = from_frames::<(String,)>(&frames).map_err(fails);
    assert!(fewer.is_err_and(|text| text.contains("1 replies more than the type takes")));
    assert!(from_frames::<(String, u64, u64)>(&frames).is_err());
    assert!(from_frames::<HashMap<String, u64>>(&frames).is_err());
}

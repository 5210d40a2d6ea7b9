//! The random streams of `threefry.json`: what each entry's name asks for, drawn and compared.

use axisgrad::random::Key;
use axisgrad::random::threefry::{self as draw, Layout};
use serde_json::{Map, Value as Json};

use super::value::number;

/// Every entry of a stream that is not what axisgrad draws, as `name: what differs`.
pub fn differences(stream: &Map<String, Json>) -> Vec<String> {
    let layout = if stream["partitionable"] == true { Layout::Partitionable } else { Layout::Paired };
    let key = Key::new(stream["seed"].as_i64().expect("a seed"));
    let entries = stream.iter().filter(|(name, _)| !["partitionable", "seed"].contains(&name.as_str()));
    entries.filter_map(|(name, theirs)| difference(key, layout, name, theirs)).collect()
}

/// Whether the block function takes `counter` to `out`.
pub fn block_is_right(record: &Json) -> bool {
    let pair = |name: &str| words(&record[name]);
    let out = draw::block(Key([pair("key")[0], pair("key")[1]]), [pair("counter")[0], pair("counter")[1]]);
    out[..] == pair("out")[..]
}

fn difference(key: Key, layout: Layout, name: &str, record: &Json) -> Option<String> {
    let theirs = if name.starts_with("bits64") { halves(long_words(record)) } else { flat(record) };
    let Some((ours, tolerance)) = entry(key, layout, name, theirs.len(), record) else {
        return Some(format!("{name}: this runner does not know it"));
    };
    if ours.len() != theirs.len() {
        return Some(format!("{name}: {} numbers instead of {}", ours.len(), theirs.len()));
    }
    let apart = |(a, b): &(&f64, &f64)| (**a - **b).abs() > tolerance * b.abs();
    let (ours, theirs) = ours.iter().zip(&theirs).find(apart)?;
    Some(format!("{name}: {ours} instead of {theirs}"))
}

/// What we draw for the entry of that name, `count` numbers, and the relative tolerance.
fn entry(key: Key, layout: Layout, name: &str, count: usize, record: &Json) -> Option<(Vec<f64>, f64)> {
    const EXACT: f64 = 0.0;
    let all = 0..count;
    let mut words = name.split('_');
    let family = words.next()?;
    let settings: Vec<&str> = words.collect();
    let setting = |i: usize| settings.get(i).copied().unwrap_or_default();
    Some(match family {
        "key" => (floats(key.0), EXACT),
        "fold" => (folds(key, record), EXACT),
        "bits8" => (floats(key.bits::<u8>(layout, count, all)), EXACT),
        "bits16" => (floats(key.bits::<u16>(layout, count, all)), EXACT),
        "bits32" => (floats(key.bits::<u32>(layout, count, all)), EXACT),
        // Two halves, each of which a float holds exactly.
        "bits64" => (halves(key.bits::<u64>(layout, count / 2, 0..count / 2)), EXACT),
        "bernoulli" => (bools(draw::bernoulli(key, layout, after(setting(0), "p")?, count, all)), EXACT),
        "randint" => (randint(key, layout, &settings, count)?, EXACT),
        "permutation" => {
            let order = draw::permutation(key, layout, setting(0).parse().ok()?);
            (order[..count].iter().map(|&i| i as f64).collect(), EXACT)
        }
        "categorical" => {
            let logits = settings.iter().filter_map(|word| word.parse().ok()).collect::<Vec<f64>>();
            let classes = draw::categorical(key, layout, &logits, count, all);
            (classes.into_iter().map(|class| class as f64).collect(), EXACT)
        }
        name if name.starts_with("split") => (splits(key, layout, count / 2), EXACT),
        _ if settings.contains(&"f32") => {
            (f32s(key, layout, family, &settings, count)?, tolerance(name, 4.8e-7))
        }
        _ => (f64s(key, layout, family, &settings, count)?, tolerance(name, 1e-13)),
    })
}

/// A uniform draw from 0 to 1 is exact; everything computed further has the relative tolerance `computed`.
fn tolerance(name: &str, computed: f64) -> f64 {
    if name.starts_with("uniform_f") && !name.contains("_min") { 0.0 } else { computed }
}

fn f64s(key: Key, layout: Layout, family: &str, settings: &[&str], n: usize) -> Option<Vec<f64>> {
    let all = 0..n;
    Some(match family {
        "uniform" => draw::uniform(key, layout, bounds(settings)?, n, all),
        "normal" => draw::normal(key, layout, n, all),
        "exponential" => draw::exponential(key, layout, n, all),
        "gumbel" => draw::gumbel(key, layout, n, all),
        "truncated" => {
            let limits: Vec<f64> = settings.iter().filter_map(|word| word.parse().ok()).collect();
            draw::truncated_normal(key, layout, limits.try_into().ok()?, n, all)
        }
        _ => return None,
    })
}

fn f32s(key: Key, layout: Layout, family: &str, settings: &[&str], n: usize) -> Option<Vec<f64>> {
    let all = 0..n;
    Some(floats(match family {
        "uniform" => draw::uniform::<f32>(key, layout, bounds(settings)?.map(|x| x as f32), n, all),
        "normal" => draw::normal::<f32>(key, layout, n, all),
        "exponential" => draw::exponential::<f32>(key, layout, n, all),
        "gumbel" => draw::gumbel::<f32>(key, layout, n, all),
        _ => return None,
    }))
}

fn randint(key: Key, layout: Layout, settings: &[&str], n: usize) -> Option<Vec<f64>> {
    let (low, high): (i64, i64) = (settings.first()?.parse().ok()?, settings.get(1)?.parse().ok()?);
    Some(match *settings.get(2)? {
        "i32" => floats(draw::randint::<i32>(key, layout, [low as i32, high as i32], n, 0..n)),
        "i64" => draw::randint::<i64>(key, layout, [low, high], n, 0..n).iter().map(|&x| x as f64).collect(),
        _ => return None,
    })
}

/// `min-2` and `max3`, or from 0 to 1.
fn bounds(settings: &[&str]) -> Option<[f64; 2]> {
    let find = |prefix| settings.iter().find_map(|word| after(word, prefix));
    Some([find("min").unwrap_or(0.0), find("max").unwrap_or(1.0)])
}

fn after(word: &str, prefix: &str) -> Option<f64> {
    word.strip_prefix(prefix)?.parse().ok()
}

fn folds(key: Key, theirs: &Json) -> Vec<f64> {
    let data =
        theirs.as_object().into_iter().flatten().map(|(data, _)| data.parse::<u64>().expect("a number"));
    data.flat_map(|data| floats(key.fold_in(data as u32).0)).collect()
}

fn splits(key: Key, layout: Layout, n: usize) -> Vec<f64> {
    key.split_in(layout, n).iter().flat_map(|key| floats(key.0)).collect()
}

fn floats<T: Into<f64>>(numbers: impl IntoIterator<Item = T>) -> Vec<f64> {
    numbers.into_iter().map(Into::into).collect()
}

fn bools(values: Vec<bool>) -> Vec<f64> {
    values.into_iter().map(|value| u8::from(value).into()).collect()
}

fn halves(words: Vec<u64>) -> Vec<f64> {
    words.into_iter().flat_map(|word| [(word >> 32) as f64, (word as u32).into()]).collect()
}

fn words(pair: &Json) -> Vec<u32> {
    serde_json::from_value(pair.clone()).expect("two words")
}

fn long_words(list: &Json) -> Vec<u64> {
    serde_json::from_value(list.clone()).expect("a list of words")
}

/// All numbers of a nested list or object in order.
fn flat(json: &Json) -> Vec<f64> {
    match json {
        Json::Array(items) => items.iter().flat_map(flat).collect(),
        Json::Object(items) => items.values().flat_map(flat).collect(),
        Json::Bool(value) => vec![u8::from(*value).into()],
        item => vec![number(item)],
    }
}

//! Repair of a log: whatever is damaged, it takes puts again, gives no sequence twice, and what is readable
//! stays readable.

use rheos_core::commit::CommitHeader;
use rheos_core::log::LogId;
use rheos_core::recovery::{Loss, RepairChore};
use rheos_protocol::error::ErrorCode;
use rheos_protocol::message::Position;
use rheos_tests::random::Random;
use rheos_tests::rig::{Rig, numbered};
use rheos_tests::sim::disk::{Landing, LogFiles};

/// Something that happens to a log's files.
type Damage = fn(&Story, &mut Rig);

const SHARDS: u32 = 3;
/// The producer of all puts.
const PRODUCER: u64 = 9;

/// A log and what was acked of it: for each shard every put's first sequence, and how many records it had.
struct Story {
    files: LogFiles,
    puts: Vec<Vec<(u64, u64)>>,
}

impl Story {
    /// Some segments, the last of which has a footer or not. Shard 2 is silent but for the first put.
    fn new(segments: u64, clean_stop: bool) -> Story {
        let mut rig = Rig::new(SHARDS);
        rig.segment_bytes = Some(64 << 10);
        let mut puts = vec![Vec::new(); SHARDS as usize];
        let long = "x".repeat(9_000);
        let mut turn = 0u64;
        while rig.files.segments.len() as u64 <= segments {
            let shard = if turn == 0 { 2 } else { turn % 2 } as usize;
            let texts = [format!("{shard}/{turn}"), long.clone()];
            let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
            let number = puts[shard].len() as u64;
            let token = rig.send(shard as u32, numbered(PRODUCER, number), &texts);
            let acked = rig.answer(token).expect("it is answered").expect("there is room");
            puts[shard].push((acked.first_sequence, 2));
            turn += 1;
        }
        if clean_stop {
            rig.stop();
        } else {
            rig.wait(1_000);
        }
        rig.kill();
        Story { files: rig.files, puts }
    }

    fn rig(&self) -> Rig {
        Rig::with_files(SHARDS, &self.files)
    }

    fn tip(&self, shard: u32) -> u64 {
        self.puts[shard as usize].last().map_or(0, |(first, records)| first + records)
    }

    /// Commits of a segment.
    fn commits(&self, segment: u64) -> Vec<CommitHeader> {
        let rig = self.rig();
        let file = &self.files.segments[&segment];
        let at = |at: usize| {
            CommitHeader::decode(&file[at * 4096..], rig.segment(segment), at as u64 * 4096, rig.salt(segment))
        };
        (0..file.len() / 4096).filter_map(|block| at(block).ok()).map(|(header, _)| header).collect()
    }

    /// The newest segment that holds records.
    fn newest(&self) -> u64 {
        *self.files.segments.keys().rfind(|segment| !self.commits(**segment).is_empty()).expect("there is one")
    }

    /// Repairs what is refused, and proves that all holds.
    fn prove(&self, rig: &mut Rig, what: &str) -> Vec<Loss> {
        rig.start().expect_err(what);
        rig.kill();
        let damaged = rig.files.clone();
        repair(rig);
        for (segment, bytes) in &damaged.segments {
            let now = &rig.files.segments[segment];
            let same = bytes.iter().zip(now).all(|(then, now)| then == now || *then == 0);
            assert!(
                same || *segment == *damaged.segments.keys().last().expect("there are some"),
                "{what}: {segment} is as it was"
            );
        }
        self.prove_repaired(rig, what)
    }

    /// Proves that the log serves, gives no sequence twice, and has lost nothing that it does not name.
    fn prove_repaired(&self, rig: &mut Rig, what: &str) -> Vec<Loss> {
        rig.kill();
        assert_eq!(rig.start(), Ok(None), "{what}: it takes puts again");
        let mut all_losses = Vec::new();
        for shard in 0..SHARDS {
            let (texts, losses) = rig.read_around(shard);
            let is_lost = |at: u64| losses.iter().any(|loss| (loss.first_sequence..=loss.last_sequence).contains(&at));
            let mut read = texts.iter();
            for (number, (first, records)) in self.puts[shard as usize].iter().enumerate() {
                for sequence in *first..first + records {
                    match is_lost(sequence) {
                        true => {}
                        false => assert_eq!(read.next().map(|it| it.0), Some(sequence), "{what}: shard {shard}"),
                    }
                }
                // A resend is answered as before when the records are there, and is unknown when they are not.
                let token = rig.send(shard, numbered(PRODUCER, number as u64), &["again", "and again"]);
                match rig.answer(token).expect("it is answered") {
                    Ok(acked) if acked.first_sequence == *first => {
                        assert!(!is_lost(*first), "{what}: put {number} of shard {shard} is lost and acked again");
                    }
                    // What is lost may be put again, when nobody can know any more that it was there.
                    Ok(acked) => {
                        assert!(is_lost(*first), "{what}: put {number} of shard {shard} is stored twice");
                        assert!(acked.first_sequence >= self.tip(shard));
                    }
                    Err(error) => assert!(
                        matches!(error.code, ErrorCode::UnknownProducer | ErrorCode::NumberTooOld),
                        "{what}: {error:?}"
                    ),
                }
            }
            assert_eq!(read.next(), None, "{what}: nothing is there that was not put");
            all_losses.extend(losses);
            assert!(rig.tip(shard) >= self.tip(shard), "{what}: no sequence of shard {shard} is given again");
        }
        for shard in 0..SHARDS {
            let tip = rig.tip(shard);
            assert_eq!(rig.put(shard, &["new"]), tip, "{what}");
            assert_eq!(
                rig.read(shard, Position::AtSequence(tip), 1 << 20).expect("it is there").next_sequence,
                tip + 1
            );
        }
        // And it stays so, also after a kill.
        assert_eq!(rig.restart(), Ok(None), "{what}: again");
        for shard in 0..SHARDS {
            assert_eq!(rig.read_around(shard).0.last().map(|(_, text)| text.as_str()), Some("new"), "{what}");
        }
        all_losses
    }
}

/// All chores, with the losses that a start would show after them.
fn repair(rig: &mut Rig) {
    for chore in chores(rig) {
        rig.do_repair_chore(&chore);
    }
}

/// The chores, with the losses that a start would show after them.
fn chores(rig: &Rig) -> Vec<RepairChore> {
    let mut after = Rig::with_files(1, &rig.files);
    after.settings = rig.settings.clone();
    for chore in rig.repair_chores(&[]) {
        after.do_repair_chore(&chore);
    }
    after.start().expect("the plan leads to a log that takes puts");
    let losses: Vec<Loss> = rig.settings.shard_numbers().flat_map(|shard| after.read_around(shard).1).collect();
    rig.repair_chores(&losses)
}

fn flip(rig: &mut Rig, segment: u64, at: usize) {
    rig.files.segments.get_mut(&segment).expect("it is there")[at] ^= 1 << (at % 8);
}

#[test]
fn a_flipped_bit_anywhere_in_the_newest_segment() {
    for clean_stop in [false, true] {
        let story = Story::new(2, clean_stop);
        let newest = story.newest();
        let mut refused = 0;
        for commit in story.commits(newest) {
            let payload = 128 + commit.payload_len as usize;
            for at in [0, 40, 64, 127, 128, 130, 180, 207, 208, 220, payload / 2, payload - 1] {
                let mut rig = story.rig();
                flip(&mut rig, newest, commit.offset as usize + at.min(payload - 1));
                if rig.start().is_ok() {
                    continue;
                }
                rig.kill();
                refused += 1;
                story.prove(&mut rig, &format!("clean {clean_stop}, commit {} byte {at}", commit.number));
            }
        }
        assert!(refused > 10, "{refused}");
    }
}

#[test]
fn what_is_lost_is_named_to_the_record_where_the_batch_headers_are_whole() {
    let story = Story::new(1, false);
    let commits = story.commits(1);
    let at = commits.iter().rposition(|commit| commit.batch_count > 0).expect("there is one");
    let mut rig = story.rig();
    flip(&mut rig, 1, commits[at].offset as usize + 300);
    let plan = rig.plan_repair();
    assert!(plan.doubted().is_empty(), "{plan:?}");
    let losses = story.prove(&mut rig, "a body");
    assert_eq!(losses.iter().map(|loss| loss.last_sequence + 1 - loss.first_sequence).sum::<u64>(), 2, "{losses:?}");

    // Without the batch header nobody knows how many there were, and of which shard.
    let mut rig = story.rig();
    flip(&mut rig, 1, commits[at].offset as usize + 150);
    let plan = rig.plan_repair();
    assert_eq!(plan.doubted().keys().copied().collect::<Vec<_>>(), [0, 1, 2]);
    let records_max = commits[at].len() / 9;
    for shard in 0..SHARDS {
        let known = plan.doubted()[&shard];
        assert!(known <= story.tip(shard) && story.tip(shard) <= known + records_max);
        assert_eq!(plan.state().shard(shard).map(|state| state.next_sequence), Some(known + records_max));
    }
    story.prove(&mut rig, "a batch header");
}

#[test]
fn a_damaged_head_costs_nothing_where_the_rest_tells() {
    for clean_stop in [false, true] {
        let story = Story::new(2, clean_stop);
        let newest = story.newest();
        // In the label, in both headers, in the carry-over; in label and carry-over.
        for places in
            [vec![9], vec![41], vec![44, 50], vec![4096 + 50, 8192 + 50], vec![12_288 + 9], vec![33, 12_288 + 9]]
        {
            let mut rig = story.rig();
            places.iter().for_each(|at| flip(&mut rig, newest, *at));
            let losses = story.prove(&mut rig, &format!("clean {clean_stop}, {places:?}"));
            let two_bits_of_the_salt = places == [44, 50];
            if !two_bits_of_the_salt || clean_stop {
                assert_eq!(losses, [], "clean {clean_stop}, {places:?}");
            }
        }
    }
}

#[test]
fn a_head_of_which_nothing_is_left() {
    for clean_stop in [false, true] {
        let story = Story::new(2, clean_stop);
        let newest = story.newest();
        let mut rig = story.rig();
        rig.files.segments.get_mut(&newest).expect("it is there")[..16_384].fill(0xa5);
        let losses = story.prove(&mut rig, "no head");
        assert!(losses.iter().any(|loss| loss.shard == 0) && losses.iter().any(|loss| loss.shard == 1));
    }
}

#[test]
fn missing_segments_wherever_they_were() {
    for clean_stop in [false, true] {
        let story = Story::new(4, clean_stop);
        let newest = story.newest();
        let all: Vec<u64> = (1..=newest).collect();
        let missing = [vec![1], vec![2], vec![2, 3], vec![1, 3], vec![newest - 1], vec![1, 2, 3], vec![newest], all];
        for missing in missing {
            let what = format!("clean {clean_stop}, {missing:?} are missing");
            let mut rig = story.rig();
            missing.iter().for_each(|segment| drop(rig.files.segments.remove(segment)));
            if missing.contains(&newest) && !clean_stop {
                // The spare behind it goes too, or it would say that it was asked for in time.
                rig.files.segments.remove(&(newest + 1));
            }
            if rig.start().is_ok() {
                // The newest one may never have been used, as far as anybody can tell.
                assert_eq!(missing, [newest]);
                continue;
            }
            rig.kill();
            let losses = story.prove(&mut rig, &what);
            if missing == [2] {
                assert!(losses.iter().all(|loss| loss.last_sequence < story.tip(loss.shard)), "{what}: {losses:?}");
            }
        }
    }
}

#[test]
fn a_silent_shard_goes_on_beyond_all_that_expired_segments_can_have_held() {
    let story = Story::new(3, false);
    let newest = story.newest();
    let mut rig = story.rig();
    rig.files.segments.retain(|segment, _| *segment >= newest);
    rig.files.lowest_kept = newest;
    flip(&mut rig, newest, 12_288 + 9);
    rig.start().expect_err("its carry-over is damaged");
    rig.kill();
    assert!(rig.plan_repair().doubted().contains_key(&2));
    repair(&mut rig);
    rig.start().expect("it takes puts again");
    assert!((0..SHARDS).all(|shard| rig.tip(shard) >= story.tip(shard)));
    let tip = rig.tip(2);
    assert_eq!(rig.put(2, &["new"]), tip);
}

#[test]
fn a_closed_shard_ends_where_the_catalog_says() {
    let mut rig = Rig::new(1);
    rig.put(0, &["a", "b", "c"]);
    rig.stop();
    rig.start().expect("it was stopped");
    rig.put(0, &["d"]);
    rig.split(0, [1, 2]);
    rig.put(1, &["e"]);
    rig.wait(1_000);
    rig.kill();
    rig.files.unreadable.insert(2);
    rig.start().expect_err("the end of the log cannot be read");
    rig.kill();
    let plan = rig.plan_repair();
    let state = |shard| *plan.state().shard(shard).expect("it is of this log");
    assert_eq!((state(0).next_sequence, state(0).closed), (4, true));
    assert!(state(1).next_sequence > 1 && !state(1).closed);
    assert_eq!(plan.doubted().keys().copied().collect::<Vec<_>>(), [1, 2]);
    repair(&mut rig);
    assert_eq!(rig.start(), Ok(None));
    let (texts, losses) = rig.read_around(0);
    assert_eq!((texts.len(), losses), (3, vec![Loss { shard: 0, first_sequence: 3, last_sequence: 3 }]));
    let tip = rig.tip(1);
    assert_eq!(rig.put(1, &["f"]), tip);
}

#[test]
fn a_segment_that_cannot_be_read() {
    for clean_stop in [false, true] {
        let story = Story::new(3, clean_stop);
        let newest = story.newest();
        let mut rig = story.rig();
        rig.files.unreadable.insert(newest);
        story.prove(&mut rig, "the newest is unreadable");

        let mut rig = story.rig();
        rig.files.unreadable.insert(newest - 1);
        rig.files.segments.remove(&(newest - 2));
        story.prove(&mut rig, "one is unreadable, the one before it missing");
    }
}

#[test]
fn a_file_of_another_log_in_the_place_of_a_segment() {
    let story = Story::new(2, true);
    let mut other = Rig::new(1);
    other.settings.id = LogId { log: 4, ..other.settings.id };
    other.put(0, &["not ours"]);
    other.stop();
    let mut rig = story.rig();
    let file = other.files.segments[&1].clone();
    rig.files.segments.insert(story.newest(), file.clone());
    story.prove(&mut rig, "a foreign file");
    assert_eq!(rig.files.segments[&story.newest()], file, "and it is left alone");
}

/// Kills the repair after any of its chores, and in the middle of each that is not whole at once.
#[test]
fn a_crash_at_any_point_leaves_the_refusal_or_the_repaired_log() {
    let mut random = Random::new(21);
    let damages: [(&str, Damage); 5] = [
        ("rot in the newest", |story, rig| {
            let commits = story.commits(story.newest());
            flip(rig, story.newest(), commits[0].offset as usize + 150);
        }),
        ("no carry-over", |story, rig| flip(rig, story.newest(), 12_288 + 9)),
        ("missing in the middle", |_, rig| drop(rig.files.segments.remove(&2))),
        ("missing at the end and rot", |story, rig| {
            rig.files.segments.remove(&(story.newest() - 1));
            let commits = story.commits(story.newest());
            flip(rig, story.newest(), commits[0].offset as usize + 150);
        }),
        ("all missing", |_, rig| rig.files.segments.clear()),
    ];
    for clean_stop in [false, true] {
        let story = Story::new(3, clean_stop);
        for (name, damage) in &damages {
            let mut damaged = story.rig();
            damage(&story, &mut damaged);
            if damaged.start().is_ok() {
                continue;
            }
            damaged.kill();
            let chores = chores(&damaged);
            for done in 0..=chores.len() {
                for torn in [None, Some(Landing::Some), Some(Landing::Prefix)] {
                    let what = format!("clean {clean_stop}, {name}, {done} of {} chores, {torn:?}", chores.len());
                    let mut rig = Rig::with_files(SHARDS, &damaged.files);
                    chores[..done].iter().for_each(|chore| rig.do_repair_chore(chore));
                    if let (Some(landing), Some(RepairChore::Seal { segment, offset, footer })) =
                        (torn, chores.get(done))
                    {
                        rig.files.land(*segment, *offset, footer, landing, &mut random);
                    }
                    if rig.start().is_err() {
                        rig.kill();
                        repair(&mut rig);
                    }
                    story.prove_repaired(&mut rig, &what);
                }
            }
        }
    }
}

/// After a repair more rot in what the repair wrote is refused again, and never believed.
#[test]
fn rot_in_what_a_repair_wrote() {
    let story = Story::new(2, false);
    let newest = story.newest();
    let commits = story.commits(newest);
    let mut repaired = story.rig();
    flip(&mut repaired, newest, commits[0].offset as usize + 150);
    repair(&mut repaired);
    let fresh = *repaired.files.segments.keys().last().expect("there is one");
    for segment in [newest, fresh] {
        for at in (0..repaired.files.segments[&segment].len()).step_by(997) {
            let mut rig = Rig::with_files(SHARDS, &repaired.files);
            flip(&mut rig, segment, at);
            if rig.start().is_err() {
                rig.kill();
                repair(&mut rig);
            }
            story.prove_repaired(&mut rig, &format!("segment {segment}, byte {at}"));
        }
    }
}

/// Whatever is damaged, twice over: it is repaired, and no sequence is given twice.
#[test]
fn anything_at_all() {
    let mut random = Random::new(5);
    for round in 0..ROUNDS {
        let story = Story::new(random.within(1..4), random.below(2) == 0);
        let mut rig = story.rig();
        for _ in 0..random.within(1..4) {
            let numbers: Vec<u64> = rig.files.numbers().into_iter().filter(|number| *number < story.newest()).collect();
            let segment =
                if random.below(3) > 0 || numbers.is_empty() { story.newest() } else { random.one_of(&numbers) };
            let Some(len) = rig.files.segments.get(&segment).map(Vec::len) else { continue };
            let at = random.below(len as u64) as usize;
            match random.below(6) {
                0 if segment < story.newest() => drop(rig.files.segments.remove(&segment)),
                1 => rig.files.segments.get_mut(&segment).expect("it is there")[at / 4096 * 4096..]
                    .iter_mut()
                    .take(4096)
                    .for_each(|byte| *byte = 0x5a),
                _ => flip(&mut rig, segment, at),
            }
        }
        let refused = rig.start().is_err();
        rig.kill();
        if !refused {
            continue;
        }
        repair(&mut rig);
        story.prove_repaired(&mut rig, &format!("round {round}"));
    }
}

const ROUNDS: u64 = 150;

//! A program that consumes, ends at any moment and resumes from its positions, many times.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};

use rheos_client::Position;
use rheos_tests::checker::{Fingerprint, fingerprint};

use super::*;

const LIVES: usize = 200;
const SHARDS: u32 = 4;

/// What all lives of the program were given, by shard, in order.
#[derive(Default)]
struct Given(BTreeMap<u32, Vec<Fingerprint>>);

impl Given {
    fn take(&mut self, shard: u32, sequence: u64, record: Fingerprint) {
        let given = self.0.entry(shard).or_default();
        assert_eq!(sequence, given.len() as u64, "shard {shard} is dense");
        given.push(record);
    }

    fn records(&self) -> u64 {
        self.0.values().map(|given| given.len() as u64).sum()
    }
}

/// One life: takes some records or batches, and is dropped in the middle of whatever it does.
async fn live(client: &Client, positions: &Positions, given: &mut Given, random: &mut Random) -> Positions {
    let builder = client.consumer("pushed", "mortal").resume(positions).credit_bytes(random.within(1..100_000));
    if random.per_mille(100) {
        // It dies while it begins.
        let _ = timeout(Duration::from_micros(random.below(5_000)), builder.start()).await;
        return positions.clone();
    }
    let mut consumer = within(builder.start()).await.expect("it is registered");
    for _ in 0..random.below(40) {
        if random.per_mille(300) {
            let batches = timeout(Duration::from_micros(random.below(3_000)), consumer.next_batches()).await;
            let Ok(read) = batches else { continue };
            let read = read.expect("nothing ends it").expect("nothing ends it");
            read.records().for_each(|at| given.take(read.shard, at.sequence, fingerprint(&at.record)));
        } else {
            let record = timeout(Duration::from_micros(random.below(3_000)), consumer.next()).await;
            let Ok(at) = record else { continue };
            let at = at.expect("nothing ends it").expect("nothing ends it");
            given.take(at.shard, at.sequence, fingerprint(&at.record.view()));
        }
    }
    let written = consumer.positions().to_string();
    written.parse().expect("it reads what it has written")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_program_resumes_two_hundred_times() {
    let mut random = random_of("lives");
    let mut ground = Ground::new(2, SHARDS).await;
    let witness = Arc::new(Witness::default());
    ground.client.register_consumer("pushed", "mortal").await.expect("its name is free");
    let load = ground.load(&witness, 2, &mut random).await;
    let (mut given, mut positions) = (Given::default(), Positions::default());
    let mut client = ground.broker.client().await;
    for life in 0..LIVES {
        positions = live(&client, &positions, &mut given, &mut random).await;
        if life % 40 == 39 {
            ground.broker.begin_kill();
            ground.broker = ground.place.start();
        }
        if random.per_mille(100) {
            client.close().await;
            client = ground.broker.client().await;
        }
    }
    load.end().await;
    ground.read_all(&witness).await;

    // The last life takes the rest, and everything is as it is read.
    let mut consumer =
        within(client.consumer("pushed", "mortal").resume(&positions).start()).await.expect("it is there");
    let mut stored = Given::default();
    for shard in 0..SHARDS {
        let mut reader = client.reader_of(&ground.stream, shard, Position::TrimHorizon).expect("it is there");
        loop {
            let read = within(reader.read_once()).await.expect("it can be read");
            read.records().for_each(|at| stored.take(shard, at.sequence, fingerprint(&at.record)));
            if read.is_at_tip() {
                break;
            }
        }
    }
    while given.records() < stored.records() {
        let at = within(consumer.next()).await.expect("nothing ends it").expect("nothing ends it");
        given.take(at.shard, at.sequence, fingerprint(&at.record.view()));
    }
    assert!(given.0 == stored.0, "what was pushed is what is stored");
}

/// One life of the example of the client, which is killed once it has printed so many records: where each
/// shard began and where it stood then. What it has printed is dense.
fn live_as_process(url_file: &Path, positions_file: &Path, records: usize) -> BTreeMap<u32, std::ops::Range<u64>> {
    let mut process = Command::new(env!("CARGO_BIN_EXE_test-consumer"))
        .args([url_file.as_os_str(), "pushed".as_ref(), "mortal".as_ref(), positions_file.as_os_str()])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .expect("the program is built");
    let out = BufReader::new(process.stdout.take().expect("it is piped"));
    let mut printed: BTreeMap<u32, std::ops::Range<u64>> = BTreeMap::new();
    let mut kill = Some(process);
    // What it has printed before it was killed may still be in the pipe; the last line may be torn.
    for (at, line) in out.lines().map_while(Result::ok).enumerate() {
        let mut words = line.split(' ');
        let (Some(shard), Some(sequence), Some(_)) = (words.next(), words.next(), words.next()) else { break };
        let (shard, sequence) = (shard.parse().expect("a shard"), sequence.parse::<u64>().expect("a sequence"));
        let range = printed.entry(shard).or_insert(sequence..sequence);
        assert_eq!(range.end, sequence, "shard {shard} is dense");
        range.end += 1;
        if at + 1 == records
            && let Some(mut process) = kill.take()
        {
            process.kill().expect("it is our child");
            process.wait().expect("it is our child");
        }
    }
    assert!(kill.is_none(), "it ended after {printed:?}");
    printed
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_process_that_is_killed_resumes_from_its_file() {
    let mut random = random_of("lives of a process");
    let ground = Ground::new(2, SHARDS).await;
    ground.client.register_consumer("pushed", "mortal").await.expect("its name is free");
    let records = 12_000;
    put(&ground.client, "pushed", 0..records, 100).await;
    let (url_file, file) = (ground.place.data().join("admin.url"), ground.place.scratch().join("positions"));
    let (mut came_to, mut lives) = (BTreeMap::<u32, u64>::new(), 0);
    while came_to.values().sum::<u64>() < records {
        let written = std::fs::read_to_string(&file).unwrap_or_default();
        let positions: Positions = written.parse().expect("a file is whole or not there");
        let due: u64 = records - positions.shards().filter_map(|shard| positions.next(shard)).sum::<u64>();
        let until = (1 + random.below(3_000)).min(due) as usize;
        let (url_file, file) = (url_file.clone(), file.clone());
        let life = tokio::task::spawn_blocking(move || live_as_process(&url_file, &file, until));
        for (shard, printed) in within(life).await.expect("it is dense") {
            assert_eq!(printed.start, positions.next(shard).unwrap_or(0), "shard {shard} begins where the file says");
            let came_to = came_to.entry(shard).or_default();
            assert!(positions.next(shard).unwrap_or(0) <= *came_to, "nothing is noted that was not printed");
            *came_to = printed.end.max(*came_to);
        }
        lives += 1;
        assert!(lives < 100, "it comes to {came_to:?} of {records}");
    }
}

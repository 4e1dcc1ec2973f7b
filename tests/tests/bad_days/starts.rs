//! Starts that cannot be: each says why in one line and has touched nothing.

use rheos_broker::{DoctorOptions, Grade, examine};
use seccompiler::{BpfProgram, SeccompAction, SeccompFilter};

use super::*;

#[test]
fn a_directory_in_use_is_refused_at_once_and_its_holder_is_named() {
    let mut first = place();
    let mut broker = first.start();
    let mut second = place().with_data(first.data());
    let error = refusal(&mut second);
    assert!(error.contains(&format!("process {}", broker.process_id())) && error.contains("in use"), "{error}");
    let error = verify(first.data(), |_| {}).expect_err("a broker has it").to_string();
    assert!(error.contains("in use"), "{error}");

    // One that is held is alive, however long it says nothing.
    broker.pause();
    let error = refusal(&mut second);
    assert!(error.contains(&format!("process {}", broker.process_id())), "{error}");
    assert!(!second.scratch().join("data").exists());
    broker.resume();
    assert!(broker.is_alive());
    broker.stop();
}

#[tokio::test]
async fn a_broker_that_was_held_goes_on() {
    let mut place = place();
    let broker = place.start();
    let client = broker.client().await;
    let (_, producer) = filled(&client, "orders", 10).await;
    broker.pause();
    let ticket = producer.put(Record::new("key", text("orders", 10))).await.expect("it is small");
    broker.resume();
    assert!(matches!(within(ticket).await, Outcome::Acked { sequence: 10, .. }));
    client.close().await;
    broker.stop();
}

#[test]
fn a_directory_that_is_not_ours_is_refused_and_not_touched() {
    let mut foreign = place();
    fs::create_dir(foreign.data()).expect("the scratch directory is writable");
    fs::write(foreign.data().join("notes.txt"), "mine").expect("the scratch directory is writable");
    let error = refusal(&mut foreign);
    assert!(error.contains("notes.txt") && error.contains("no rheos data directory"), "{error}");
    let names: Vec<_> = fs::read_dir(foreign.data()).expect("it is there").collect();
    assert_eq!(names.len(), 1, "nothing was made in it: {names:?}");

    let mut file = place();
    fs::write(file.data(), "mine").expect("the scratch directory is writable");
    let error = refusal(&mut file);
    assert!(error.contains("not a directory"), "{error}");

    let mut newer = place();
    newer.start().stop();
    let format = newer.data().join("FORMAT");
    let text = fs::read_to_string(&format).expect("it is there");
    fs::write(&format, text.replace("format 1", "format 7")).expect("it is ours");
    let error = refusal(&mut newer);
    assert!(error.contains("format 7") && error.contains("newer"), "{error}");
}

#[test]
fn a_directory_that_may_not_be_written_is_refused_by_name() {
    let mut place = place();
    fs::create_dir(place.data()).expect("the scratch directory is writable");
    if rustix::process::geteuid().is_root() {
        // Root may write anywhere, so the broker is somebody else.
        place = place.with_launcher(&["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"]);
        for directory in [place.scratch(), place.data()] {
            chmod(directory, 0o755);
        }
    } else {
        chmod(place.data(), 0o500);
    }
    let error = refusal(&mut place);
    assert!(error.contains("cannot write") && error.contains("data"), "{error}");
}

fn chmod(path: &Path, mode: u32) {
    use std::os::unix::fs::PermissionsExt;
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).expect("it is ours");
}

#[test]
fn a_port_that_is_taken_is_refused_by_name() {
    let mut first = place();
    let broker = first.start();
    let mut second = place().with_listen(broker.address());
    let error = refusal(&mut second);
    assert!(error.contains(&broker.address().to_string()) && error.contains("in use by another process"), "{error}");
    broker.stop();
}

#[test]
fn without_io_uring_there_is_one_line_that_says_what_to_do() {
    let mut place = place().with_flag("--deny-io-uring");
    let error = refusal(&mut place);
    assert!(error.contains("io_uring is denied") && error.contains("seccomp"), "{error}");
}

/// The doctor asks as a start does: under a filter, on a thread of its own, it is refused the same.
#[test]
fn the_doctor_says_of_a_denied_io_uring_what_a_start_says() {
    let examined = std::thread::spawn(|| {
        deny_io_uring();
        let data = tempfile_in(Path::new(env!("CARGO_TARGET_TMPDIR"))).expect("the build directory is writable");
        let options = DoctorOptions {
            data: data.path().to_owned(),
            listen: ([127, 0, 0, 1], 0).into(),
            lanes: 1,
            cores: Vec::new(),
            dev: false,
        };
        let mut findings = Vec::new();
        examine(&options, |finding| findings.push(finding));
        findings
    });
    let findings = examined.join().expect("it examines");
    let problems: Vec<_> = findings.iter().filter(|finding| finding.grade == Grade::Problem).collect();
    let [problem] = problems[..] else { panic!("{problems:#?}") };
    assert_eq!(problem.topic, "io_uring");
    assert!(problem.what.contains("io_uring is denied"), "{problem:?}");
    let fix = problem.fix.as_deref().expect("it says what to do");
    assert!(fix.contains("seccomp") && fix.contains("sysctl -w kernel.io_uring_disabled=0"), "{fix}");
}

fn deny_io_uring() {
    let rules = [425, 426, 427].map(|call| (call, Vec::new())).into();
    let architecture = std::env::consts::ARCH.try_into().expect("the filter knows this architecture");
    let filter = SeccompFilter::new(rules, SeccompAction::Allow, SeccompAction::Errno(1), architecture);
    let program: BpfProgram = filter.expect("the rules are whole").try_into().expect("the filter is small");
    seccompiler::apply_filter(&program).expect("a thread may bind its own hands");
}

#[test]
fn memory_is_no_disk() {
    let memory = Path::new("/dev/shm");
    let Ok(directory) = tempfile_in(memory) else { panic!("{} is not writable here", memory.display()) };
    let mut refused = place().with_data(directory.path().join("data"));
    let error = refusal(&mut refused);
    assert!(error.contains("tmpfs") && error.contains("ext4"), "{error}");
    let mut dev = place().with_data(directory.path().join("data")).with_flag("--dev");
    dev.start().stop();
}

fn tempfile_in(path: &Path) -> std::io::Result<tempfile::TempDir> {
    tempfile::tempdir_in(path)
}

//! Outputs: the standard output for `-`, a rename for a regular file, and never a device replaced by one.
#![cfg(unix)]

use std::{
    fs,
    os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt, symlink},
    process::{Command, Stdio},
};

use dahlquist_testkit::models::every_layer;
use serde_json::Value;

use super::{Folder, errors, refuses, succeeds, text};

fn is_show(bytes: &[u8]) -> bool {
    let layers = every_layer().layers().count();
    serde_json::from_slice::<Value>(bytes).is_ok_and(|value| value["layers"].as_array().unwrap().len() == layers)
}

#[test]
fn a_dash_is_the_standard_output_which_then_holds_nothing_else() {
    let folder = Folder::new();
    for place in ["-", "/dev/stdout", "/proc/self/fd/1"] {
        let mut command = folder.command(&format!("show @single.safetensors --json {place}"));
        let output = command.current_dir(folder.0.path()).output().unwrap();
        assert_eq!(output.status.code(), Some(0), "{place}");
        assert!(is_show(&output.stdout), "{place}: {}", text(&output));
        assert!(errors(&output).contains("gradient_step"), "the text is on the standard error");
    }
    assert!(!folder.path("-").exists());
    assert!(!fs::symlink_metadata("/dev/stdout").unwrap().is_file());
    // A file behind the standard output is written into, at its end.
    let shell = format!(
        "(echo before; {} show {} --json /dev/stdout 2>/dev/null) > {}",
        env!("CARGO_BIN_EXE_dahlquist"),
        folder.path("single.safetensors").display(),
        folder.path("all.json").display()
    );
    assert!(Command::new("sh").args(["-c", &shell]).status().unwrap().success());
    let all = fs::read(folder.path("all.json")).unwrap();
    assert!(is_show(all.strip_prefix(b"before\n").unwrap()));
    // Two results do not fit there, nor into any one file.
    let two = "certify @single.safetensors --data @samples.safetensors --json - --csv";
    refuses(&folder.run(&format!("{two} -")), &["two results"]);
    refuses(&folder.run(&format!("{two} /dev/stdout")), &["two results"]);
    refuses(&folder.run("certify @single.safetensors --json @r --certificate @r"), &["two results"]);
}

/// A slip of the hand must not cost a trained network, nor its samples.
#[test]
fn no_result_replaces_what_is_read() {
    let folder = Folder::new();
    succeeds(&folder.run("certify @single.safetensors --data @samples.safetensors --certificate @c.json"));
    symlink("single.safetensors", folder.path("link")).unwrap();
    fs::create_dir(folder.path("inner")).unwrap();
    let read = ["single.safetensors", "samples.safetensors", "c.json"];
    let before = read.map(|name| fs::read(folder.path(name)).unwrap());
    for words in [
        "certify @single.safetensors --certificate @single.safetensors",
        "certify @single.safetensors --certificate @inner/../single.safetensors",
        "certify @single.safetensors --certificate @link",
        "certify @link --json @single.safetensors",
        "certify @single.safetensors --data @samples.safetensors --csv @samples.safetensors",
        "show @single.safetensors --json @single.safetensors",
        "predict @single.safetensors --data @samples.safetensors --json @samples.safetensors",
        "attack @single.safetensors --data @samples.safetensors --eps 0.1 --json @samples.safetensors",
        "falsify @single.safetensors --budget 0 --json @single.safetensors",
        "check @c.json @single.safetensors --lipschitz-only --json @c.json",
        "check @c.json @single.safetensors --data @samples.safetensors --json @samples.safetensors",
        "merge @c.json @c.json",
    ] {
        refuses(&folder.run(words), &["it is read, so no result is written there"]);
    }
    assert!(read.map(|name| fs::read(folder.path(name)).unwrap()) == before);
    // A folder that is missing is missed before anything is done: nothing is trained in vain.
    refuses(&folder.run("falsify @nowhere --json @no/r.json"), &["no/r.json", "there is no folder"]);
    refuses(&folder.run("train --data @nowhere --out @no/r.safetensors"), &["r.safetensors", "there is no folder"]);
    // Nor are two results written to one place that has two names.
    let two = "certify @single.safetensors --json @new --certificate @inner/../new";
    refuses(&folder.run(two), &["two results"]);
}

#[cfg(target_os = "linux")]
#[test]
fn what_cannot_be_printed_is_an_error() {
    let folder = Folder::new();
    let full = || fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
    let output = folder.command("show @single.safetensors").stdout(full()).output().unwrap();
    refuses(&output, &["the standard output", "cannot be written"]);
    // A reader that has seen enough is none.
    let mut closed = folder.command("show @single.safetensors").stdout(Stdio::piped()).spawn().unwrap();
    drop(closed.stdout.take());
    assert_eq!(closed.wait().unwrap().code(), Some(0));
}

#[test]
fn a_named_pipe_is_written_into() {
    let folder = Folder::new();
    let pipe = folder.path("pipe");
    assert!(Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    let link = folder.path("link_to_pipe");
    symlink("pipe", &link).unwrap();
    for name in ["pipe", "link_to_pipe"] {
        let reader = Command::new("cat").arg(&pipe).stdout(Stdio::piped()).spawn().unwrap();
        succeeds(&folder.run(&format!("show @single.safetensors --json @{name}")));
        assert!(is_show(&reader.wait_with_output().unwrap().stdout), "{name}");
        assert!(fs::symlink_metadata(&pipe).unwrap().file_type().is_fifo());
        assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
    }
    succeeds(&folder.run("show @single.safetensors --json /dev/null"));
    assert!(fs::metadata("/dev/null").unwrap().file_type().is_char_device());
}

#[test]
fn links_are_followed_and_stay() {
    let folder = Folder::new();
    fs::create_dir(folder.path("inner")).unwrap();
    fs::write(folder.path("inner/there"), "old").unwrap();
    symlink("inner/there", folder.path("to_file")).unwrap();
    symlink("to_file", folder.path("to_link")).unwrap();
    symlink("inner/new", folder.path("to_nothing")).unwrap();
    symlink("round", folder.path("round")).unwrap();
    for (link, file) in [("to_link", "inner/there"), ("to_nothing", "inner/new")] {
        succeeds(&folder.run(&format!("show @single.safetensors --json @{link}")));
        assert!(fs::symlink_metadata(folder.path(link)).unwrap().is_symlink());
        assert!(fs::symlink_metadata(folder.path(file)).unwrap().is_file());
        assert!(is_show(&fs::read(folder.path(file)).unwrap()));
    }
    assert!(fs::symlink_metadata(folder.path("to_file")).unwrap().is_symlink());
    refuses(&folder.run("show @single.safetensors --json @round"), &["round", "symbolic links"]);
    refuses(&folder.run("show @single.safetensors --json @inner"), &["inner", "directory"]);
    // No temporary file is left.
    assert_eq!(fs::read_dir(folder.path("inner")).unwrap().count(), 2);
}

#[test]
fn a_file_is_replaced_by_a_rename_and_keeps_its_permissions() {
    let folder = Folder::new();
    let path = folder.path("r.json");
    fs::write(&path, "old").unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
    // Whoever has the old file open goes on reading it.
    let mut old = fs::File::open(&path).unwrap();
    let before = fs::metadata(&path).unwrap();
    succeeds(&folder.run("show @single.safetensors --json @r.json"));
    let after = fs::metadata(&path).unwrap();
    assert_eq!(after.permissions().mode() & 0o7777, 0o640);
    assert_eq!((after.uid(), after.gid()), (before.uid(), before.gid()));
    assert_ne!(after.ino(), before.ino());
    let mut kept = String::new();
    std::io::Read::read_to_string(&mut old, &mut kept).unwrap();
    assert_eq!(kept, "old");
    assert!(is_show(&fs::read(&path).unwrap()));
}

/// A folder or a file that may not be written to is left as it was, by someone who is not root.
#[test]
fn what_may_not_be_written_is_refused_and_left_as_it_was() {
    use std::os::unix::process::CommandExt;
    let folder = Folder::new();
    fs::set_permissions(folder.0.path(), fs::Permissions::from_mode(0o755)).unwrap();
    let program = folder.path("program");
    fs::copy(env!("CARGO_BIN_EXE_dahlquist"), &program).unwrap();
    for (name, mode) in [("closed", 0o555), ("open", 0o777)] {
        fs::create_dir(folder.path(name)).unwrap();
        fs::write(folder.path(&format!("{name}/r.json")), "old").unwrap();
        fs::set_permissions(folder.path(&format!("{name}/r.json")), fs::Permissions::from_mode(0o444)).unwrap();
        fs::set_permissions(folder.path(name), fs::Permissions::from_mode(mode)).unwrap();
    }
    let run = |place: &str| {
        let mut command = Command::new(&program);
        command.arg("show").arg(folder.path("single.safetensors")).arg("--json").arg(folder.path(place));
        if fs::metadata(folder.0.path()).unwrap().uid() == 0 {
            command.uid(65534).gid(65534);
        }
        loop {
            match command.output() {
                // Another test that was just starting its program may have this copy open.
                Err(busy) if busy.kind() == std::io::ErrorKind::ExecutableFileBusy => continue,
                output => return output.unwrap(),
            }
        }
    };
    for place in ["closed/new.json", "closed/r.json", "open/r.json"] {
        refuses(&run(place), &[place, "cannot be written"]);
    }
    succeeds(&run("open/new.json"));
    for name in ["closed", "open"] {
        assert_eq!(fs::read_to_string(folder.path(&format!("{name}/r.json"))).unwrap(), "old");
    }
    assert_eq!(fs::read_dir(folder.path("closed")).unwrap().count(), 1);
    assert_eq!(fs::read_dir(folder.path("open")).unwrap().count(), 2);
}

#[test]
fn a_table_and_a_plot_of_what_is_certified() {
    let folder = Folder::new();
    let words = "certify @single.safetensors --data @samples.safetensors --eps 0 0.001 --json @r.json --csv @s.csv --plot @p.svg";
    succeeds(&folder.run(words));
    let value = folder.json("r.json");
    let table = fs::read_to_string(folder.path("s.csv")).unwrap();
    let mut rows = csv::Reader::from_reader(table.as_bytes());
    assert_eq!(rows.headers().unwrap(), vec!["sample", "label", "prediction", "radius", "refusal"]);
    let rows: Vec<csv::StringRecord> = rows.records().collect::<Result<_, _>>().unwrap();
    assert_eq!(rows.len(), 12);
    for (s, row) in rows.iter().enumerate() {
        let sample = &value["samples"][s];
        assert_eq!((&row[0], &row[1]), (&*s.to_string(), &*sample["label"].to_string()));
        assert_eq!((&row[2], row[3].parse().ok()), (&*sample["prediction"].to_string(), sample["radius"].as_f64()));
    }
    let svg = fs::read_to_string(folder.path("p.svg")).unwrap();
    assert!(svg.starts_with("<svg ") && svg.ends_with("</svg>\n"));
    // One point for the clean accuracy and for each distance, on the curve.
    assert_eq!(svg.matches("<circle").count(), 3);
    let certified = value["certified_accuracy"][0]["accuracy"].as_f64().unwrap();
    assert!(svg.contains(&format!(" d=\"M64.0,{:.1}", 344.0 - 304.0 * certified)), "{svg}");
}

package localpg

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"time"
)

// clusterConf is read by the installation scripts of Debian's postgresql packages (postgresql-common's createcluster.conf
// includes its directory). Without it they would make and start a cluster of the machine's own.
const clusterConf = "/etc/postgresql-common/createcluster.d/moray.conf"

// install installs Debian's PostgreSQL server without a cluster of the machine's own. The version matters only if it is not 0.
// Where it may not or cannot, the error is what the user should do.
func install(ctx context.Context, cfg Config, version int) error {
	name := "postgresql"
	if version != 0 {
		name = fmt.Sprintf("postgresql-%d", version)
	}
	apt, err := exec.LookPath("apt-get")
	if err != nil {
		return errors.New("PostgreSQL is not installed: install it, or name the directory of its programs initdb and postgres in MORAY_PG_BIN")
	}
	if !cfg.Install || os.Geteuid() != 0 {
		return fmt.Errorf("PostgreSQL is not installed; to install it, run as root: apt-get install --no-install-recommends %s", name)
	}
	return aptInstall(ctx, apt, name, clusterConf, cfg.Progress)
}

// aptInstall installs a package of PostgreSQL while the configuration file conf forbids it to make a cluster.
func aptInstall(ctx context.Context, apt, name, conf string, progress func(string)) error {
	remove, err := forbidMainCluster(conf)
	if err != nil {
		return fmt.Errorf("install PostgreSQL: %w", err)
	}
	defer remove()
	progress("installing the package " + name)
	args := []string{"install", "-y", "-q", "--no-install-recommends", "-o", "DPkg::Lock::Timeout=120", name}
	if runApt(ctx, apt, args...) == nil {
		return nil
	}
	// A machine that never fetched the lists of packages, or fetched them long ago.
	progress("updating the lists of packages")
	if err := runApt(ctx, apt, "update", "-q"); err != nil {
		return err
	}
	return runApt(ctx, apt, args...)
}

// runApt runs apt-get without questions, in a session of its own. When ctx ends it is asked to stop, which it does at a
// point where the packages are whole.
func runApt(ctx context.Context, apt string, args ...string) error {
	cmd := exec.CommandContext(ctx, apt, args...)
	cmd.Env = append(os.Environ(), "DEBIAN_FRONTEND=noninteractive", "LC_ALL=C")
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGINT) }
	cmd.WaitDelay = time.Minute
	output, err := cmd.CombinedOutput()
	if err != nil {
		return fmt.Errorf("%s: %w\n%s", cmd, err, tail(output))
	}
	return nil
}

// forbidMainCluster writes the configuration file at path and returns a function that removes it and the directories made for it.
func forbidMainCluster(path string) (remove func(), err error) {
	made := []string{path}
	for dir := filepath.Dir(path); ; dir = filepath.Dir(dir) {
		if _, err := os.Stat(dir); !errors.Is(err, fs.ErrNotExist) {
			break
		}
		made = append(made, dir)
	}
	remove = func() {
		for _, name := range made {
			os.Remove(name) // a directory that is in use by now stays
		}
	}
	if err := makeDirs(filepath.Dir(path)); err != nil {
		return nil, err
	}
	if err := os.WriteFile(path, []byte("create_main_cluster = false\n"), 0o644); err != nil {
		remove()
		return nil, err
	}
	return remove, nil
}

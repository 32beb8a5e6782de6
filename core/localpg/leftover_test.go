package localpg_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/kaizengarden/moray/core/localpg"
)

func TestKilled(t *testing.T) {
	t.Parallel()
	for _, throwaway := range []bool{false, true} {
		t.Run(fmt.Sprintf("Throwaway=%v", throwaway), func(t *testing.T) {
			t.Parallel()
			h := setup{DataDir: preparedHome(t), Throwaway: throwaway}
			p := startProgram(t, h, nil)
			postmaster := p.awaitReady(t)
			p.kill(t)
			awaitExit(t, postmaster)
			run(t, h.config(), func(s *localpg.Server) {
				wantRow(t, s)
				text, err := os.ReadFile(s.LogFile())
				if clean := !strings.Contains(string(text), "not properly shut down"); err != nil || clean == throwaway {
					t.Errorf("clean end: %v, want %v; error %v, log:\n%s", clean, !throwaway, err, text)
				}
			})
		})
	}
}

// The next start does not wait until the killed one's server is gone.
func TestKilledAndStartedAtOnce(t *testing.T) {
	t.Parallel()
	h := setup{DataDir: preparedHome(t)}
	for range 3 {
		p := startProgram(t, h, nil)
		p.awaitReady(t)
		p.kill(t)
	}
	run(t, h.config(), func(s *localpg.Server) { wantRow(t, s) })
}

func TestKilledInInitdb(t *testing.T) {
	t.Parallel()
	h := setup{DataDir: newDir(t)}
	p := startProgram(t, h, nil)
	if line := p.await(t, "progress"); !strings.HasPrefix(line, "making a database cluster") {
		t.Fatalf("progress %q, want that a cluster is being made", line)
	}
	p.kill(t)
	if exists(filepath.Join(h.DataDir, "postgresql")) {
		t.Fatal("the cluster is complete: it was killed too late")
	}
	if err := os.MkdirAll(filepath.Join(h.DataDir, "initdb-old", "base"), 0o700); err != nil { // one that was killed long ago
		t.Fatal(err)
	}
	run(t, h.config(), func(s *localpg.Server) { query(t, s, "SELECT 1") })
	if left, _ := filepath.Glob(filepath.Join(h.DataDir, "initdb-*")); len(left) != 0 {
		t.Errorf("%q are left", left)
	}
}

// A postmaster that lives without the moray that started it is stopped, and stopped cleanly.
func TestLivePostmaster(t *testing.T) {
	t.Parallel()
	home := preparedHome(t)
	postmaster := startByHand(t, home)
	var progress []string
	cfg := localpg.Config{DataDir: home, Progress: func(line string) { progress = append(progress, line) }}
	run(t, cfg, func(s *localpg.Server) {
		if err := postmaster.Wait(); err != nil {
			t.Errorf("end of the earlier postmaster: %v, want a clean one", err)
		}
		wantRow(t, s)
	})
	want := "stopping the PostgreSQL that an earlier moray left in " + filepath.Join(home, "postgresql")
	if len(progress) != 1 || progress[0] != want {
		t.Errorf("progress %q, want %q", progress, want)
	}
}

// A postmaster's children outlive it for a moment, and a frozen one for ever.
func TestOrphan(t *testing.T) {
	t.Parallel()
	home := preparedHome(t)
	postmaster := startByHand(t, home)
	children, err := os.ReadFile(fmt.Sprintf("/proc/%d/task/%[1]d/children", postmaster.Process.Pid))
	if err != nil {
		t.Fatal(err)
	}
	var child int
	if _, err := fmt.Sscan(string(children), &child); err != nil {
		t.Fatalf("children %q of the postmaster: %v", children, err)
	}
	syscall.Kill(child, syscall.SIGSTOP)
	postmaster.Process.Kill()
	postmaster.Wait()
	run(t, localpg.Config{DataDir: home}, func(s *localpg.Server) { wantRow(t, s) })
	awaitExit(t, child)
}

// startByHand starts a server as a moray would that its postmaster outlives.
func startByHand(t *testing.T, home string) *exec.Cmd {
	t.Helper()
	dataDir, socketDir := filepath.Join(home, "postgresql"), filepath.Join(home, "run")
	if err := os.Mkdir(socketDir, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.Chown(socketDir, int(ownerOf(t, dataDir)), -1); err != nil {
		t.Fatal(err)
	}
	cmd := postgres(t, home)
	cmd.Args = append(cmd.Args, "-c", "unix_socket_directories="+socketDir)
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		cmd.Process.Kill()
		cmd.Wait()
	})
	for deadline := time.Now().Add(20 * time.Second); ; time.Sleep(5 * time.Millisecond) { // nothing tells, it must be asked
		text, _ := os.ReadFile(filepath.Join(dataDir, "postmaster.pid"))
		if strings.Contains(string(text), "\nready") {
			return cmd
		}
		if time.Now().After(deadline) {
			t.Fatalf("the server started by hand is not ready after 20 s; postmaster.pid:\n%s", text)
		}
	}
}

// postgres returns a command for a server on the cluster in home, without a socket, as the owner of the cluster.
func postgres(t *testing.T, home string) *exec.Cmd {
	t.Helper()
	dataDir := filepath.Join(home, "postgresql")
	cmd := exec.CommandContext(t.Context(), filepath.Join(binDir(t), "postgres"), "-D", dataDir, "-c", "listen_addresses=")
	cmd.Dir = home
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Credential: ownerCredential(t, dataDir), Pdeathsig: syscall.SIGKILL}
	return cmd
}

func ownerCredential(t *testing.T, path string) *syscall.Credential {
	t.Helper()
	if os.Geteuid() != 0 {
		return nil
	}
	return &syscall.Credential{Uid: ownerOf(t, path)}
}

func TestStalePIDFile(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name    string
		blocks  bool // whether PostgreSQL by itself refuses to start
		process func(t *testing.T, owner *syscall.Credential) int
	}{
		{"Dead", false, func(t *testing.T, _ *syscall.Credential) int {
			cmd := exec.Command("true")
			if err := cmd.Run(); err != nil {
				t.Fatal(err)
			}
			return cmd.Process.Pid
		}},
		{"Zombie", true, func(t *testing.T, owner *syscall.Credential) int {
			cmd := start(t, owner, "true")
			if err := unix.Waitid(unix.P_PID, cmd.Process.Pid, nil, unix.WEXITED|unix.WNOWAIT, nil); err != nil {
				t.Fatal(err)
			}
			return cmd.Process.Pid
		}},
		{"Foreign", true, func(t *testing.T, owner *syscall.Credential) int {
			cmd := start(t, owner, "sleep", "1000")
			t.Cleanup(func() { // runs before it is killed
				if err := syscall.Kill(cmd.Process.Pid, 0); err != nil {
					t.Errorf("the foreign process: %v, want that it lives", err)
				}
			})
			return cmd.Process.Pid
		}},
		{"Garbage", true, func(*testing.T, *syscall.Credential) int { return 0 }},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			home := preparedHome(t)
			dataDir, socketDir := filepath.Join(home, "postgresql"), filepath.Join(home, "run")
			owner := ownerCredential(t, dataDir)
			pid := test.process(t, owner)
			text := fmt.Sprintf("%d\n%s\n%d\n5432\n%s\n\n", pid, dataDir, time.Now().Unix(), socketDir)
			if err := os.Mkdir(socketDir, 0o700); err != nil {
				t.Fatal(err)
			}
			for _, path := range []string{filepath.Join(dataDir, "postmaster.pid"), filepath.Join(socketDir, ".s.PGSQL.5432.lock")} {
				if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			if test.blocks {
				if output, err := postgres(t, home).CombinedOutput(); err == nil || !strings.Contains(string(output), "lock file") {
					t.Errorf("PostgreSQL by itself: error %v, want that its lock file blocks it; output:\n%s", err, output)
				}
			}
			run(t, localpg.Config{DataDir: home}, func(s *localpg.Server) { wantRow(t, s) })
		})
	}
}

// start starts a program that is killed and reaped at the end of the test.
func start(t *testing.T, credential *syscall.Credential, name string, args ...string) *exec.Cmd {
	t.Helper()
	cmd := exec.Command(name, args...)
	cmd.Dir = "/"
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: credential}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		cmd.Process.Kill()
		cmd.Wait()
	})
	return cmd
}

// binDir returns the directory of the programs that Run uses.
func binDir(t *testing.T) string {
	t.Helper()
	dir, err := localpg.FindBinDir(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return dir
}

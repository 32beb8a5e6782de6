package localpg

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"syscall"
)

// account is the user that PostgreSQL's processes run as.
type account struct {
	name       string
	credential *syscall.Credential // nil: the user of this process
}

// accountFor returns the account for the cluster in home, or for a new one if home is "". Only root has a choice, because
// PostgreSQL refuses to run as root: the user that owns the cluster, else postgres, which comes with Debian's package, else
// nobody. All of them have an entry in the password file, without which initdb does not work.
func accountFor(home string) (account, error) {
	if os.Geteuid() != 0 {
		return account{}, nil
	}
	if home != "" {
		if owner := ownerOf(dataDirOf(home)); owner != nil && owner.Uid != "0" {
			return newAccount(owner)
		}
	}
	for _, name := range []string{"postgres", "nobody"} {
		if u, err := user.Lookup(name); err == nil {
			return newAccount(u)
		}
	}
	return account{}, errors.New("PostgreSQL refuses to run as root, and there is no user postgres or nobody to run it as")
}

func newAccount(u *user.User) (account, error) {
	uid, err := strconv.ParseUint(u.Uid, 10, 32)
	if err != nil {
		return account{}, fmt.Errorf("user %s: id: %w", u.Username, err)
	}
	gid, err := strconv.ParseUint(u.Gid, 10, 32)
	if err != nil {
		return account{}, fmt.Errorf("user %s: group: %w", u.Username, err)
	}
	return account{u.Username, &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}}, nil
}

// ownerOf returns the user that owns path, or nil if there is no such path or its owner has no name.
func ownerOf(path string) *user.User {
	info, err := os.Stat(path)
	if err != nil {
		return nil
	}
	owner, err := user.LookupId(strconv.FormatUint(uint64(info.Sys().(*syscall.Stat_t).Uid), 10))
	if err != nil {
		return nil
	}
	return owner
}

// own gives path to the account.
func (a account) own(path string) error {
	if a.credential == nil {
		return nil
	}
	return os.Lchown(path, int(a.credential.Uid), int(a.credential.Gid))
}

// ownTree gives dir and everything in it to the account, unless dir is the account's already. dir comes last, so that an
// interrupted change is begun again.
func (a account) ownTree(dir string) error {
	info, err := os.Lstat(dir)
	if err != nil || a.credential == nil || info.Sys().(*syscall.Stat_t).Uid == a.credential.Uid {
		return err
	}
	err = filepath.WalkDir(dir, func(path string, _ fs.DirEntry, err error) error {
		if err != nil || path == dir {
			return err
		}
		return a.own(path)
	})
	if err != nil {
		return err
	}
	return a.own(dir)
}

// canSearch reports whether the account can make dir its working directory. The kernel is asked, by a process that tries:
// so access control lists and everything else that may decide are taken into account.
func (a account) canSearch(dir string) (bool, error) {
	if a.credential == nil {
		return true, nil
	}
	cmd := exec.Command("/bin/sh", "-c", ":")
	cmd.Dir = dir
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: a.credential}
	err := cmd.Run()
	if errors.Is(err, fs.ErrPermission) {
		return false, nil
	}
	return err == nil, err
}

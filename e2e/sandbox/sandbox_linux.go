package sandbox

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"unsafe"
)

func command(ctx context.Context, mode string, args ...string) (*exec.Cmd, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	cmd := exec.CommandContext(ctx, self, args...)
	cmd.Env = append(os.Environ(), variable+"="+mode)
	cmd.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags: syscall.CLONE_NEWNS | syscall.CLONE_NEWNET | syscall.CLONE_NEWPID,
		Pdeathsig:  syscall.SIGKILL,
	}
	// Root may do all this as it is. Anyone else gets a user namespace in which they are root.
	if uid := os.Geteuid(); uid != 0 {
		cmd.SysProcAttr.Cloneflags |= syscall.CLONE_NEWUSER
		cmd.SysProcAttr.UidMappings = []syscall.SysProcIDMap{{ContainerID: 0, HostID: uid, Size: 1}}
		cmd.SysProcAttr.GidMappings = []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getegid(), Size: 1}}
	}
	return cmd, nil
}

func setUp() error {
	if err := syscall.Mount("", "/", "", syscall.MS_REC|syscall.MS_PRIVATE, ""); err != nil {
		return fmt.Errorf("make mounts private: %w", err)
	}
	// The process numbers of /proc are then those of the sandbox. Where /proc is restricted this is refused, and nothing depends on it.
	_ = syscall.Mount("proc", "/proc", "proc", 0, "")
	for _, dir := range []string{"/opt", "/var"} {
		if err := cover(dir); err != nil {
			return fmt.Errorf("cover %s: %w", dir, err)
		}
	}
	if err := os.MkdirAll("/var/task", 0o755); err != nil {
		return err
	}
	if err := os.MkdirAll("/opt/extensions", 0o755); err != nil {
		return err
	}
	return loopbackUp()
}

// cover makes dir writable for this sandbox alone: an empty file system in memory goes over it, and what was in dir is
// mounted into that again, because the checkout or a tool may live there.
func cover(dir string) error {
	under, err := os.MkdirTemp("", "under")
	if err != nil {
		return err
	}
	if err := syscall.Mount(dir, under, "", syscall.MS_BIND|syscall.MS_REC, ""); err != nil {
		return err
	}
	if err := syscall.Mount("none", dir, "tmpfs", 0, "mode=0755"); err != nil {
		return err
	}
	entries, err := os.ReadDir(under)
	if err != nil {
		return err
	}
	for _, entry := range entries {
		from, to := filepath.Join(under, entry.Name()), filepath.Join(dir, entry.Name())
		switch entry.Type() {
		case os.ModeSymlink:
			target, err := os.Readlink(from)
			if err = errors.Join(err, os.Symlink(target, to)); err != nil {
				return err
			}
		case os.ModeDir:
			if err := os.Mkdir(to, 0o755); err != nil {
				return err
			}
			if err := syscall.Mount(from, to, "", syscall.MS_BIND|syscall.MS_REC, ""); err != nil {
				return err
			}
		}
	}
	if err := syscall.Unmount(under, syscall.MNT_DETACH); err != nil {
		return err
	}
	return os.Remove(under)
}

// loopbackUp is `ip link set lo up`, which a new network namespace needs and not every machine has a program for.
func loopbackUp() error {
	socket, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_DGRAM|syscall.SOCK_CLOEXEC, 0)
	if err != nil {
		return fmt.Errorf("bring up the loopback interface: %w", err)
	}
	defer syscall.Close(socket)
	request := struct { // struct ifreq
		name  [syscall.IFNAMSIZ]byte
		flags uint16
		_     [22]byte
	}{flags: syscall.IFF_UP | syscall.IFF_RUNNING}
	copy(request.name[:], "lo")
	if _, _, errno := syscall.Syscall(syscall.SYS_IOCTL, uintptr(socket), syscall.SIOCSIFFLAGS, uintptr(unsafe.Pointer(&request))); errno != 0 {
		return fmt.Errorf("bring up the loopback interface: %w", errno)
	}
	return nil
}

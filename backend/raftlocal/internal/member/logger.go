package member

import (
	"context"
	"fmt"
	"log/slog"

	"github.com/fencelock/fencelock/backend/raftlocal/internal/disk"
)

// raftLogger hands on what raft has to say. Its news of every election are for who debugs, and its
// warnings, too: who runs the member tells what they mean.
type raftLogger struct{ to *slog.Logger }

// raftPanic is how raft tells that an invariant is broken: a disk that lost what was synced, or
// a peer that sends nonsense. The member ends with it; the process need not.
type raftPanic struct{ what string }

func (p raftPanic) Error() string {
	return "member: the consensus has found a contradiction, as when a disk has lost what it had synced: " + p.what +
		": " + disk.Cure
}

func (l raftLogger) say(level slog.Level, v []any) {
	if l.to.Enabled(context.Background(), level) {
		l.to.Log(context.Background(), level, fmt.Sprint(v...))
	}
}

func (l raftLogger) sayf(level slog.Level, format string, v []any) {
	if l.to.Enabled(context.Background(), level) {
		l.to.Log(context.Background(), level, fmt.Sprintf(format, v...))
	}
}

func (l raftLogger) Debug(v ...any)                   { l.say(slog.LevelDebug, v) }
func (l raftLogger) Debugf(format string, v ...any)   { l.sayf(slog.LevelDebug, format, v) }
func (l raftLogger) Info(v ...any)                    { l.say(slog.LevelDebug, v) }
func (l raftLogger) Infof(format string, v ...any)    { l.sayf(slog.LevelDebug, format, v) }
func (l raftLogger) Warning(v ...any)                 { l.say(slog.LevelDebug, v) }
func (l raftLogger) Warningf(format string, v ...any) { l.sayf(slog.LevelDebug, format, v) }
func (l raftLogger) Error(v ...any)                   { l.say(slog.LevelError, v) }
func (l raftLogger) Errorf(format string, v ...any)   { l.sayf(slog.LevelError, format, v) }

func (l raftLogger) Fatal(v ...any)                 { panic(raftPanic{fmt.Sprint(v...)}) }
func (l raftLogger) Fatalf(format string, v ...any) { panic(raftPanic{fmt.Sprintf(format, v...)}) }
func (l raftLogger) Panic(v ...any)                 { panic(raftPanic{fmt.Sprint(v...)}) }
func (l raftLogger) Panicf(format string, v ...any) { panic(raftPanic{fmt.Sprintf(format, v...)}) }

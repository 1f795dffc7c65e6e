package shared

import (
	"slices"

	"github.com/fencelock/fencelock/backend/raftlocal/internal/dirlock"
	"github.com/fencelock/fencelock/backend/raftlocal/internal/disk"
	"github.com/fencelock/fencelock/backend/raftlocal/internal/member"
	"github.com/fencelock/fencelock/backend/raftlocal/internal/wal"
)

// begin makes an empty log where there is nothing, in files that are shorter than those of a
// cluster's member: they are read whole at each take-over, for which somebody waits. Where there
// is something the member sees to it that it is all there.
func begin(files disk.FS, segment int64) error {
	names, err := files.List()
	if err != nil || slices.ContainsFunc(names, func(name string) bool { return name != dirlock.File }) {
		return err
	}
	id := wal.Identity{Cluster: Cluster, Member: member.ID(Cluster, Member), Name: Member}
	return wal.CreateSized(files, id, segment)
}

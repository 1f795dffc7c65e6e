// Package comingfrom tests the move to fencelock from another library, and from one
// backend to another. The directories have the programs of the pages in docs/coming-from,
// which show these files as they are.
package comingfrom

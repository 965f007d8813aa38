"""The sandbox as a process of its own: it runs what nobody vouches for, apart from what the kernel keeps."""

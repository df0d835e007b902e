//! The allocator of the program with `serve`.

/// `serve` allocates a few hundred times per request, for which glibc's allocator needs twice the time.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Gives memory that was freed back to the kernel, which the allocator otherwise does when it is used next.
#[expect(unsafe_code, reason = "a C function, which may be called at any time")]
pub fn give_memory_back() {
    // SAFETY: it takes no pointer, and frees nothing that is in use.
    unsafe { libmimalloc_sys::mi_collect(true) }
}

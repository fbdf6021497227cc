# The Debian package, which tools/package.sh builds.

include(GNUInstallDirs)
set(CMAKE_INSTALL_PREFIX /usr)
set(package ${PROJECT_SOURCE_DIR}/tools/package)
set(made ${PROJECT_BINARY_DIR}/package)

# What the program says about itself, as files.
add_custom_command(OUTPUT ${made}/stamp
  COMMAND ${CMAKE_COMMAND} -E make_directory ${made}
  COMMAND $<TARGET_FILE:vipgate> manual commands | gzip -9n > ${made}/vipgate.8.gz
  COMMAND $<TARGET_FILE:vipgate> manual config | gzip -9n > ${made}/vipgate.json.5.gz
  COMMAND $<TARGET_FILE:vipgate> manual bash > ${made}/vipgate.bash
  COMMAND $<TARGET_FILE:vipgate> manual zsh > ${made}/_vipgate
  COMMAND $<TARGET_FILE:vipgate> schema > ${made}/schema.json
  COMMAND gzip -9nc ${package}/changelog > ${made}/changelog.gz
  COMMAND ${CMAKE_COMMAND} -E touch ${made}/stamp
  DEPENDS vipgate ${package}/changelog)
add_custom_target(package_files ALL DEPENDS ${made}/stamp)

install(TARGETS vipgate DESTINATION sbin)
install(FILES ${package}/vipgate.service DESTINATION lib/systemd/system)
install(FILES ${made}/vipgate.8.gz DESTINATION share/man/man8)
install(FILES ${made}/vipgate.json.5.gz DESTINATION share/man/man5)
install(FILES ${made}/vipgate.bash DESTINATION share/bash-completion/completions RENAME vipgate)
install(FILES ${made}/_vipgate DESTINATION share/zsh/vendor-completions)
install(FILES ${made}/schema.json DESTINATION share/vipgate)
install(FILES ${PROJECT_SOURCE_DIR}/tools/grafana/vipgate.json DESTINATION share/vipgate/grafana)
install(FILES ${made}/changelog.gz ${package}/copyright DESTINATION share/doc/vipgate)
install(FILES ${package}/example.json DESTINATION share/doc/vipgate/examples RENAME vipgate.json)
install(DIRECTORY ${PROJECT_SOURCE_DIR}/tools/examples/ DESTINATION share/doc/vipgate/examples USE_SOURCE_PERMISSIONS)

set(CPACK_GENERATOR DEB)
set(CPACK_STRIP_FILES ON)
set(CPACK_PACKAGE_CONTACT "vipgate maintainers <maintainers@vipgate.example>")
set(CPACK_PACKAGE_DESCRIPTION_SUMMARY "user-space gateway for virtual IPs")
set(CPACK_DEBIAN_PACKAGE_DESCRIPTION "A virtual IP is an address that no network card owns: a TUN device has it, and
vipgate sends each port of it to the private host that serves it. Backends are
checked, and connections outlive card failures, restarts and upgrades.")
set(CPACK_DEBIAN_FILE_NAME DEB-DEFAULT)
set(CPACK_DEBIAN_PACKAGE_SECTION net)
set(CPACK_DEBIAN_PACKAGE_PRIORITY optional)
set(CPACK_DEBIAN_PACKAGE_SHLIBDEPS ON)
set(CPACK_DEBIAN_PACKAGE_DEPENDS adduser)
set(CPACK_DEBIAN_PACKAGE_RECOMMENDS nftables)  # with which doctor reads the firewall
set(CPACK_DEBIAN_PACKAGE_CONTROL_EXTRA ${package}/postinst ${package}/prerm ${package}/postrm)
set(CPACK_DEBIAN_PACKAGE_CONTROL_STRICT_PERMISSION ON)
include(CPack)
